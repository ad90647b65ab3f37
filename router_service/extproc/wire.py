"""Envoy's protobuf messages to and from the values of `stream`. The only module that knows both.

Header values travel in `raw_value`; Envoy neither fills nor expects `value`. Field numbers: proto/ext_proc.proto.
"""

from __future__ import annotations

from typing import Final, assert_never

from router_service._generated.core_pb2 import HeaderValue, HeaderValueOption
from router_service._generated.ext_proc_pb2 import (
    BodyResponse,
    CommonResponse,
    HeaderMutation,
    HeadersResponse,
    ImmediateResponse,
    ProcessingRequest,
    ProcessingResponse,
    TrailersResponse,
)
from router_service._generated.http_status_pb2 import HttpStatus
from router_service.extproc.stream import (
    ATTEMPT_HEADER,
    Answer,
    BodyReceived,
    Continue,
    Event,
    HeadersReceived,
    LastWord,
    OtherReceived,
    Phase,
    Rewrite,
    Route,
)
from router_service.routing.decision import Decision

UPSTREAM_HEADER: Final = "x-router-upstream"  # the Envoy cluster, for the route's `cluster_header`
MODEL_HEADER: Final = "x-router-model"  # `provider/id` that the body names, for the model's own listener
METADATA_NAMESPACE: Final = "router_service"

_JSON = ("content-type", "application/json")
_UNCHANGED = {
    None: ProcessingResponse(request_headers=HeadersResponse()),
    Phase.REQUEST_TRAILERS: ProcessingResponse(request_trailers=TrailersResponse()),
    Phase.RESPONSE_HEADERS: ProcessingResponse(response_headers=HeadersResponse()),
    Phase.RESPONSE_BODY: ProcessingResponse(response_body=BodyResponse()),
    Phase.RESPONSE_TRAILERS: ProcessingResponse(response_trailers=TrailersResponse()),
}


def read_event(message: ProcessingRequest) -> Event:
    """The event a message from Envoy stands for. Raises ValueError for a message of no known kind."""
    match message.WhichOneof("request"):
        case "request_headers":
            headers = {header.key: header.raw_value for header in message.request_headers.headers.headers}
            return HeadersReceived(
                method=_text(headers.get(":method")),
                path=_text(headers.get(":path")),
                anthropic_version=_text(headers.get("anthropic-version")),
                content_encoding=_text(headers.get("content-encoding")),
                request_id=_text(headers.get("x-request-id")),
                attempt_model=headers.get(ATTEMPT_HEADER, b"").decode(),
                end_of_stream=message.request_headers.end_of_stream,
                body_mode=message.protocol_config.request_body_mode if message.HasField("protocol_config") else None,
            )
        case "request_body":
            return BodyReceived(message.request_body.body)
        case None:
            raise ValueError("a message of no kind that this service knows")
        case other:
            return OtherReceived(Phase(other))


def build_reply(action: Continue | LastWord) -> ProcessingResponse:
    """The message that carries an action to Envoy."""
    match action:
        case Continue(phase):
            return _UNCHANGED[phase]
        case Route(decision, body):
            return _route_reply(decision, body)
        case Rewrite(body):
            return _rewrite_reply(body)
        case Answer():
            return _answer_reply(action)
        case _:
            assert_never(action)


def decision_fields(decision: Decision) -> dict[str, str]:
    """What Envoy is told of a decision as dynamic metadata: it shows these in response headers and its access log."""
    fields = {"model": decision.model, "source": decision.source.value, "reason": decision.reason.value}
    if decision.route is not None:
        fields["route"] = decision.route
    classification = decision.classification
    if classification is not None and classification.backend:
        fields["classifier"] = classification.backend
    return fields


def _route_reply(decision: Decision, body: bytes | None) -> ProcessingResponse:
    reply = ProcessingResponse()
    common = reply.request_body.response
    common.clear_route_cache = True
    headers = common.header_mutation.set_headers
    headers.append(_set(UPSTREAM_HEADER, decision.upstream))
    headers.append(_set(MODEL_HEADER, decision.model))
    _replace_body(common, body)
    metadata = reply.dynamic_metadata.fields[METADATA_NAMESPACE].struct_value.fields
    for name, value in decision_fields(decision).items():
        metadata[name].string_value = value
    return reply


def _rewrite_reply(body: bytes | None) -> ProcessingResponse:
    reply = ProcessingResponse(request_body=BodyResponse())
    _replace_body(reply.request_body.response, body)
    return reply


def _replace_body(common: CommonResponse, body: bytes | None) -> None:
    if body is not None:
        common.body_mutation.body = body
        common.header_mutation.set_headers.append(_set("content-length", str(len(body))))


def _answer_reply(answer: Answer) -> ProcessingResponse:
    return ProcessingResponse(
        immediate_response=ImmediateResponse(
            status=HttpStatus(code=answer.status),
            headers=HeaderMutation(set_headers=[_set(*pair) for pair in (_JSON, *answer.headers)]),
            body=answer.body,
            details=f"router_{answer.error.reason}" if answer.error else "router_answered",
        )
    )


def _set(key: str, value: str) -> HeaderValueOption:
    return HeaderValueOption(
        header=HeaderValue(key=key, raw_value=value.encode()),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )


def _text(raw: bytes | None) -> str:
    """A header as text; bytes outside ASCII are kept apart rather than refused (RFC 9110, section 5.5)."""
    return raw.decode("latin-1") if raw else ""
