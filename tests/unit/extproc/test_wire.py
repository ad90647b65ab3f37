"""Our values to and from Envoy's bytes; Envoy's side is built with envoy-data-plane, which is not ours."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from envoy_data_plane.envoy.config.core.v3 import HeaderMap, HeaderValue
from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import ProcessingModeBodySendMode
from envoy_data_plane.envoy.service.ext_proc.v3 import (
    HttpBody,
    HttpHeaders,
    HttpTrailers,
    ProtocolConfiguration,
)
from envoy_data_plane.envoy.service.ext_proc.v3 import ProcessingRequest as EnvoyRequest
from envoy_data_plane.envoy.service.ext_proc.v3 import ProcessingResponse as EnvoyReply
from google.protobuf.json_format import MessageToDict

from router_service._generated.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from router_service.errors import UnknownModel
from router_service.extproc.stream import (
    Answer,
    BodyReceived,
    Continue,
    Event,
    HeadersReceived,
    OtherReceived,
    Phase,
    Rewrite,
    Route,
)
from router_service.extproc.wire import build_reply, read_event
from router_service.routing.catalog import Model, Target
from router_service.routing.decision import Classification, Decision, Reason, Source

TARGET = Target(Model("openai/gpt-5", "openai", "gpt-5"), "gpt-5")
DECISION = Decision(
    TARGET,
    "model/openai/gpt-5",
    Source.PREFERENCE,
    Reason.MATCHED,
    "código",
    Classification(Reason.MATCHED, route="código", backend="embedded"),
)


def headers(**values: str) -> HttpHeaders:
    pairs = [HeaderValue(key=key, raw_value=value.encode()) for key, value in values.items()]
    return HttpHeaders(headers=HeaderMap(headers=pairs))


def envoys(reply: ProcessingResponse) -> EnvoyReply:
    """The reply as Envoy would read it."""
    return EnvoyReply.parse(reply.SerializeToString())


def header_values(pairs: list[object]) -> dict[str, bytes]:
    return {option.header.key: option.header.raw_value for option in pairs}  # type: ignore[attr-defined]


RECEIVED = [
    pytest.param(
        EnvoyRequest(
            request_headers=headers(**{":method": "POST", ":path": "/v1/chat/completions", "x-request-id": "r1"}),
            protocol_config=ProtocolConfiguration(request_body_mode=ProcessingModeBodySendMode.BUFFERED),
        ),
        HeadersReceived("POST", "/v1/chat/completions", request_id="r1", body_mode=2),
        id="request headers",
    ),
    pytest.param(
        EnvoyRequest(
            request_headers=replace(
                headers(**{"content-encoding": "br", "anthropic-version": "2023-06-01"}), end_of_stream=True
            )
        ),
        HeadersReceived(
            "", "", anthropic_version="2023-06-01", content_encoding="br", end_of_stream=True, body_mode=None
        ),
        id="headers alone, encoded, mode not said",
    ),
    pytest.param(EnvoyRequest(request_body=HttpBody(body=b"{}", end_of_stream=True)), BodyReceived(b"{}"), id="body"),
    pytest.param(EnvoyRequest(request_body=HttpBody()), BodyReceived(b""), id="empty body"),
    pytest.param(EnvoyRequest(request_trailers=HttpTrailers()), OtherReceived(Phase.REQUEST_TRAILERS), id="trailers"),
    pytest.param(EnvoyRequest(response_headers=headers()), OtherReceived(Phase.RESPONSE_HEADERS), id="response"),
    pytest.param(EnvoyRequest(response_body=HttpBody()), OtherReceived(Phase.RESPONSE_BODY), id="response body"),
    pytest.param(
        EnvoyRequest(response_trailers=HttpTrailers()), OtherReceived(Phase.RESPONSE_TRAILERS), id="response trailers"
    ),
]


@pytest.mark.parametrize(("sent", "event"), RECEIVED)
def test_each_message_of_envoy_is_one_event(sent: EnvoyRequest, event: Event) -> None:
    assert read_event(ProcessingRequest.FromString(bytes(sent))) == event


def test_a_message_of_a_kind_from_the_future_is_refused() -> None:
    with pytest.raises(ValueError, match="no kind"):
        read_event(ProcessingRequest())


def test_a_header_of_any_bytes_is_read() -> None:
    sent = EnvoyRequest(
        request_headers=HttpHeaders(headers=HeaderMap(headers=[HeaderValue(key=":path", raw_value=b"/\xff\xfe")]))
    )
    event = read_event(ProcessingRequest.FromString(bytes(sent)))
    assert isinstance(event, HeadersReceived)
    assert event.path == "/ÿþ"


def test_continue_is_an_empty_reply_of_the_same_kind() -> None:
    assert envoys(build_reply(Continue())).request_headers is not None
    for phase in Phase:
        assert list(MessageToDict(build_reply(Continue(phase)), preserving_proto_field_name=True)) == [phase.value]


def test_a_route_names_upstream_and_model_and_replaces_the_body_with_its_length() -> None:
    reply = envoys(build_reply(Route(DECISION, b'{"model":"gpt-5"}')))
    assert reply.request_body is not None
    common = reply.request_body.response
    assert common is not None
    assert common.header_mutation is not None
    assert common.body_mutation is not None
    assert common.clear_route_cache
    assert common.body_mutation.body == b'{"model":"gpt-5"}'
    assert header_values(list(common.header_mutation.set_headers)) == {
        "x-router-upstream": b"model/openai/gpt-5",
        "x-router-model": b"openai/gpt-5",
        "content-length": b"17",
    }
    assert {option.append_action for option in common.header_mutation.set_headers} == {2}  # OVERWRITE_IF_EXISTS_OR_ADD


def test_an_unchanged_body_keeps_its_length_header() -> None:
    reply = envoys(build_reply(Route(DECISION, None)))
    assert reply.request_body is not None
    assert reply.request_body.response is not None
    assert reply.request_body.response.body_mutation is None
    assert reply.request_body.response.header_mutation is not None
    assert "content-length" not in header_values(list(reply.request_body.response.header_mutation.set_headers))


def test_the_decision_travels_as_dynamic_metadata() -> None:
    reply = build_reply(Route(DECISION, None))
    assert MessageToDict(reply.dynamic_metadata) == {
        "router_service": {
            "model": "openai/gpt-5",
            "route": "código",
            "source": "preference",
            "reason": "matched",
            "classifier": "embedded",
        }
    }


def test_an_answer_carries_status_body_type_and_the_detail_for_the_access_log() -> None:
    error = UnknownModel("no such model", param="model")
    reply = envoys(build_reply(Answer(404, b"{}", error, (("allow", "GET"),)))).immediate_response
    assert reply is not None
    assert reply.status is not None
    assert reply.headers is not None
    assert (int(reply.status.code), reply.body, reply.details) == (404, b"{}", "router_unknown_model")
    assert header_values(list(reply.headers.set_headers)) == {"content-type": b"application/json", "allow": b"GET"}


def test_an_answer_that_is_no_error_says_so() -> None:
    reply = build_reply(Answer(200, json.dumps({"object": "list"}).encode()))
    assert reply.immediate_response.details == "router_answered"


def test_a_later_attempt_is_known_by_its_header() -> None:
    sent = EnvoyRequest(request_headers=headers(**{"x-router-attempt-model": "café/2"}))
    event = read_event(ProcessingRequest.FromString(bytes(sent)))
    assert isinstance(event, HeadersReceived)
    assert event.attempt_model == "café/2"


def test_a_rewrite_replaces_the_body_and_leaves_the_way_alone() -> None:
    reply = envoys(build_reply(Rewrite(b'{"model":"x"}')))
    assert reply.request_body is not None
    common = reply.request_body.response
    assert common is not None
    assert common.header_mutation is not None
    assert common.body_mutation is not None
    assert common.body_mutation.body == b'{"model":"x"}'
    assert header_values(list(common.header_mutation.set_headers)) == {"content-length": b"13"}
    assert not common.clear_route_cache
    assert MessageToDict(build_reply(Rewrite(None))) == {"requestBody": {}}
