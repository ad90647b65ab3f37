"""What Envoy answers itself, in the error shape of the client's API: Anthropic's, or else OpenAI's.

Envoy's own replies are text/plain, or nothing, and written for those who run it; an SDK cannot make its exception of
them. Each row below is one cause, found by the response code details that Envoy gives it, first match wins:
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/response_code_details
What the router service answers comes as a local reply too. It has the shape already, and its details begin with
`router_`: the first row leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from envoy_data_plane.envoy.config.accesslog.v3 import AccessLogFilter, ExtensionFilter
from envoy_data_plane.envoy.config.core.v3 import DataSource, SubstitutionFormatString
from envoy_data_plane.envoy.extensions.access_loggers.filters.cel.v3 import ExpressionFilter
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    LocalReplyConfig,
    ResponseMapper,
)

from router_service.dataplane.messages import set_header
from router_service.dataplane.protojson import Packed
from router_service.extproc.replies import ANTHROPIC, OPENAI, Shape, error_object


@dataclass(frozen=True, slots=True)
class LocalReply:
    """One cause: the CEL expression that finds it, and what the client is told. `status` replaces Envoy's."""

    when: str
    status: int
    code: str
    message: str


def _details(*prefixes: str) -> str:
    return " || ".join(f'response.code_details.startsWith("{prefix}")' for prefix in prefixes)


OURS = _details("router_")

# As `replies.shape_for` tells. Only the ends of the paths: when a provider cannot be reached, the prefix is its own.
TO_ANTHROPIC = (
    'request.url_path.endsWith("/messages") || request.url_path.endsWith("/messages/count_tokens")'
    ' || "anthropic-version" in request.headers'
)

NO_WORD_FROM_THE_ROUTER = LocalReply(
    _details("ext_proc", "spurious_message", "mismatch_between_content_length"),
    503,
    "router_unavailable",
    "The router did not decide on this request; try again shortly.",
)

EDGE_REPLIES = (
    LocalReply(
        _details("request_payload_too_large"),
        413,
        "body_too_large",
        "The request body is larger than this router accepts (limits.max_body_bytes in its configuration).",
    ),
    NO_WORD_FROM_THE_ROUTER,
    LocalReply(
        _details("cluster_not_found"),
        503,
        "router_unavailable",
        "The model that the router chose is not being served yet; try again shortly.",
    ),
    LocalReply(
        _details("upstream_response_timeout", "upstream_per_try", "response_timeout"),
        504,
        "upstream_timeout",
        "The model's provider did not answer in time.",
    ),
    LocalReply(
        "response.code == 408",
        408,
        "request_timeout",
        "The request did not arrive in time.",
    ),
    LocalReply(
        "response.code >= 500",
        503,
        "router_unavailable",
        "The router cannot take this request now; try again shortly.",
    ),
    LocalReply(
        "response.code >= 400",
        400,
        "invalid_request",
        "This is not an HTTP request that the router can read.",
    ),
)
"""Causes on the way to the router's decision and to the model's own listener."""

MODEL_REPLIES = (
    NO_WORD_FROM_THE_ROUTER,  # it was to put the model's id into the body of a later attempt
    LocalReply(
        _details("failed_to_inject_credential"),
        503,
        "provider_key_missing",
        "The router has no key for this model's provider; whoever runs it must set one.",
    ),
    LocalReply(
        _details("upstream_reset_before_response_started{overflow}"),
        503,
        "upstream_overloaded",
        "The router has as many requests at the model's provider as it may; try again shortly.",
    ),
    LocalReply(
        "response.code == 504",
        504,
        "upstream_timeout",
        "The model's provider did not answer in time.",
    ),
    LocalReply(
        "response.code == 404",
        404,
        "unknown_path",
        "The model's provider has no such path.",
    ),
    LocalReply(
        "response.code >= 400",
        503,
        "upstream_unavailable",
        "The model's provider cannot be reached, or ended the connection before it answered.",
    ),
)
"""Causes between one model's listener and its provider."""


def local_reply_config(replies: Iterable[LocalReply], *, to_anthropic: bool) -> LocalReplyConfig:
    """`to_anthropic` says whether clients of Anthropic's API are answered as well."""
    mappers = (mapper for reply in replies for mapper in _mappers(reply, to_anthropic=to_anthropic))
    return LocalReplyConfig(mappers=[ResponseMapper(filter=_cel(OURS)), *mappers])


def _mappers(reply: LocalReply, *, to_anthropic: bool) -> Iterator[ResponseMapper]:
    if to_anthropic:
        yield _mapper(reply, f"({TO_ANTHROPIC}) && ({reply.when})", ANTHROPIC)
    yield _mapper(reply, reply.when, OPENAI)


def _mapper(reply: LocalReply, when: str, shape: Shape) -> ResponseMapper:
    body = error_object(shape, reply.status, reply.code, reply.message).decode().replace("%", "%%")
    return ResponseMapper(
        filter=_cel(when),
        status_code=reply.status,
        body_format_override=SubstitutionFormatString(
            text_format_source=DataSource(inline_string=body), content_type="application/json"
        ),
        headers_to_add=[set_header("x-request-id", "%REQ(X-REQUEST-ID)%")],  # what to ask the operator about
    )


def _cel(expression: str) -> AccessLogFilter:
    return AccessLogFilter(
        extension_filter=ExtensionFilter(
            name="envoy.access_loggers.extension_filters.cel",
            typed_config=Packed(ExpressionFilter(expression=expression)),
        )
    )
