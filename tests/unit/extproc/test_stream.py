"""One stream as a transcript: Envoy says, we answer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.extproc.stream import (
    BUFFERED,
    ENDPOINTS,
    Answer,
    Ask,
    BodyReceived,
    Continue,
    Event,
    HeadersReceived,
    OtherReceived,
    Phase,
    Rewrite,
    Route,
    Stream,
)
from router_service.routing.api import OPENAI_COMPATIBLE, Api
from router_service.routing.catalog import Catalog, Model, Preference, Target
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import Classification, Reason, Source

SMALL, LARGE, CODE = (Target(Model(f"openai/{id_}", "openai", id_), id_) for id_ in ("small", "large", "code"))
CATALOG = Catalog(
    models=(SMALL.entry, LARGE.entry, CODE.entry, replace(SMALL.entry, key="hidden", id="hidden", listed=False)),
    aliases={"fast": "small"},
    preferences=(Preference("code generation", "writing code", (CODE, LARGE)),),
    default=LARGE,
)
CLAUDE = Target(Model("anthropic/claude", "anthropic", "claude", apis=OPENAI_COMPATIBLE | {Api.MESSAGES}), "claude")
CODER = Target(replace(CODE.entry, apis=OPENAI_COMPATIBLE | {Api.RESPONSES}), "code")
MIXED = replace(
    CATALOG,
    models=(SMALL.entry, CLAUDE.entry, CODER.entry),
    preferences=(Preference("code generation", "writing code", (SMALL, CODER, CLAUDE)),),
)
CHAT = HeadersReceived("POST", "/v1/chat/completions")
MESSAGES = HeadersReceived("POST", "/v1/messages")
RESPONSES = HeadersReceived("POST", "/v1/responses")
LIMIT = 1000


def body(**members: object) -> BodyReceived:
    return BodyReceived(json.dumps(members).encode())


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def new_stream(catalog: Catalog = CATALOG) -> Stream:
    return Stream(catalog, LIMIT)


def error_of(answer: object) -> dict[str, str | None]:
    assert isinstance(answer, Answer)
    error: dict[str, str | None] = json.loads(answer.body)["error"]
    return error


def test_a_named_model_is_routed_with_its_id_in_the_body() -> None:
    stream = new_stream()
    assert stream.receive(CHAT) == Continue()
    routed = stream.receive(body(model="openai/small", messages=[]))
    assert isinstance(routed, Route)
    assert routed.body == json.dumps({"model": "small", "messages": []}).encode()
    assert (routed.decision.upstream, routed.decision.source) == ("model/openai/small", Source.MODEL)
    assert stream.is_done


def test_a_body_that_already_names_the_id_is_left_alone() -> None:
    stream = new_stream()
    stream.receive(CHAT)
    routed = stream.receive(body(model="small", messages=[]))
    assert isinstance(routed, Route)
    assert routed.body is None


def test_auto_asks_the_classifier_and_serves_the_preference() -> None:
    stream = new_stream()
    stream.receive(CHAT)
    asked = stream.receive(body(model="auto", messages=user("write a parser")))
    assert asked == Ask(Conversation((Turn("user", "write a parser"),)))
    assert not stream.is_done
    routed = stream.classified(Classification(Reason.MATCHED, route="code generation"))
    assert isinstance(routed, Route)
    assert routed.decision.model == "openai/code"
    assert json.loads(routed.body or b"") == {"model": "code", "messages": user("write a parser")}
    assert stream.is_done


def test_a_missing_model_is_put_into_the_body() -> None:
    stream = new_stream()
    stream.receive(CHAT)
    assert isinstance(stream.receive(body(messages=user("hi"))), Ask)
    routed = stream.classified(Classification(Reason.TIMEOUT))
    assert isinstance(routed, Route)
    assert (routed.decision.source, routed.decision.reason) == (Source.DEFAULT, Reason.TIMEOUT)
    assert json.loads(routed.body or b"")["model"] == "large"


@pytest.mark.parametrize(
    ("catalog", "messages", "reason"),
    [
        pytest.param(replace(CATALOG, preferences=()), user("hi"), Reason.NO_PREFERENCES, id="no preferences"),
        pytest.param(CATALOG, [{"role": "system", "content": "be kind"}], Reason.NO_TEXT, id="no user turn"),
        pytest.param(
            CATALOG,
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}],
            Reason.NO_TEXT,
            id="image only",
        ),
    ],
)
def test_nothing_to_classify_is_the_default_model_at_once(
    catalog: Catalog, messages: list[object], reason: Reason
) -> None:
    stream = new_stream(catalog)
    stream.receive(CHAT)
    routed = stream.receive(body(model="auto", messages=messages))
    assert isinstance(routed, Route)
    assert (routed.decision.model, routed.decision.reason) == ("openai/large", reason)


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
def test_completions_and_embeddings_are_routed_by_name_only(path: str) -> None:
    by_name = new_stream()
    by_name.receive(HeadersReceived("POST", path))
    assert isinstance(by_name.receive(body(model="fast", input="x")), Route)
    unnamed = new_stream()
    unnamed.receive(HeadersReceived("POST", path))
    assert error_of(unnamed.receive(body(model="auto", input="x"))) == {
        "message": "This path is routed by name only: set 'model' to a model or an alias.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "invalid_request",
    }


def test_an_overriding_configuration_leaves_embeddings_to_their_name() -> None:
    stream = new_stream(replace(CATALOG, override_explicit_model=True))
    stream.receive(HeadersReceived("POST", "/v1/embeddings"))
    routed = stream.receive(body(model="small", input="x"))
    assert isinstance(routed, Route)
    assert routed.decision.model == "openai/small"


REFUSED_HEADERS = [
    pytest.param(HeadersReceived("POST", "/v1/nothing"), 404, "unknown_path", id="unknown path"),
    pytest.param(HeadersReceived("POST", "/v1/chat/completions/"), 404, "unknown_path", id="trailing slash"),
    pytest.param(HeadersReceived("GET", "/v1/chat/completions"), 405, "method_not_allowed", id="wrong method"),
    pytest.param(HeadersReceived("POST", "/v1/models"), 405, "method_not_allowed", id="posting models"),
    pytest.param(replace(CHAT, end_of_stream=True), 400, "invalid_request", id="no body"),
    pytest.param(replace(CHAT, content_encoding="deflate"), 415, "unsupported_encoding", id="encoding"),
    pytest.param(replace(CHAT, body_mode=1), 503, "router_unavailable", id="Envoy streams the body"),
    pytest.param(HeadersReceived("GET", "/v1/models/none"), 404, "model_not_found", id="one unknown model"),
]


@pytest.mark.parametrize(("headers", "status", "code"), REFUSED_HEADERS)
def test_headers_that_cannot_be_served_are_answered_at_once(headers: HeadersReceived, status: int, code: str) -> None:
    stream = new_stream()
    answer = stream.receive(headers)
    assert isinstance(answer, Answer)
    assert (answer.status, error_of(answer)["code"]) == (status, code)
    assert stream.is_done


REFUSED_BODIES = [
    pytest.param(BodyReceived(b"{"), 400, "invalid_request", None, id="not JSON"),
    pytest.param(body(model="small"), 400, "invalid_request", "messages", id="no messages"),
    pytest.param(body(model="auto", messages="hi"), 400, "invalid_request", "messages", id="messages a string"),
    pytest.param(body(model="nope", messages=[]), 404, "model_not_found", "model", id="unknown model"),
    pytest.param(BodyReceived(b" " * (LIMIT + 1)), 413, "body_too_large", None, id="too large"),
]


@pytest.mark.parametrize(("received", "status", "code", "param"), REFUSED_BODIES)
def test_a_body_that_cannot_be_served_is_refused_in_the_clients_shape(
    received: BodyReceived, status: int, code: str, param: str | None
) -> None:
    stream = new_stream()
    stream.receive(CHAT)
    answer = stream.receive(received)
    assert isinstance(answer, Answer)
    error = error_of(answer)
    assert (answer.status, error["code"], error["param"]) == (status, code, param)
    assert stream.is_done


def test_a_body_of_exactly_the_limit_is_read() -> None:
    received = body(model="small", messages=[], pad="")
    padded = body(model="small", messages=[], pad="x" * (LIMIT - len(received.body)))
    assert len(padded.body) == LIMIT
    stream = new_stream()
    stream.receive(CHAT)
    assert isinstance(stream.receive(padded), Route)


def test_the_query_of_a_path_does_not_change_what_it_is() -> None:
    assert new_stream().receive(replace(CHAT, path="/v1/chat/completions?trace=1")) == Continue()


def test_models_lists_auto_aliases_and_models_but_nothing_internal() -> None:
    answer = new_stream().receive(HeadersReceived("GET", "/v1/models", end_of_stream=True))
    assert isinstance(answer, Answer)
    assert answer.error is None
    listed = json.loads(answer.body)
    assert listed["object"] == "list"
    assert [(entry["id"], entry["owned_by"]) for entry in listed["data"]] == [
        ("auto", "router-service"),
        ("fast", "router-service"),
        ("openai/small", "openai"),
        ("openai/large", "openai"),
        ("openai/code", "openai"),
    ]


@pytest.mark.parametrize("name", ["openai/small", "openai%2Fsmall"])
def test_one_model_is_found_by_its_name_however_the_slash_is_sent(name: str) -> None:
    answer = new_stream().receive(HeadersReceived("GET", f"/v1/models/{name}", end_of_stream=True))
    assert isinstance(answer, Answer)
    assert json.loads(answer.body) == {"id": "openai/small", "object": "model", "created": 0, "owned_by": "openai"}


def test_a_405_names_the_method_to_use() -> None:
    answer = new_stream().receive(HeadersReceived("DELETE", "/v1/models"))
    assert isinstance(answer, Answer)
    assert answer.headers == (("allow", "GET"),)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_phase_we_did_not_ask_for_changes_nothing(phase: Phase) -> None:
    stream = new_stream()
    assert stream.receive(OtherReceived(phase)) == Continue(phase)
    assert stream.receive(CHAT) == Continue()


events = st.one_of(
    st.builds(
        HeadersReceived,
        method=st.sampled_from(["GET", "POST", ""]),
        path=st.sampled_from([*ENDPOINTS, "/v1/models/fast", "", "/"]),
        anthropic_version=st.sampled_from(["", "2023-06-01"]),
        content_encoding=st.sampled_from(["", "gzip"]),
        end_of_stream=st.booleans(),
        body_mode=st.sampled_from([None, BUFFERED, 1]),
    ),
    st.builds(BodyReceived, st.binary(max_size=20)),
    st.builds(
        lambda model, turns: body(model=model, messages=turns, input=turns),
        st.sampled_from(["auto", "small", "nope", None, 3]),
        st.sampled_from([user("hi"), [], "x", None, [{"role": "user", "content": 4}]]),
    ),
    st.builds(OtherReceived, st.sampled_from(Phase)),
)


@given(st.lists(events, max_size=6), st.sampled_from([Reason.MATCHED, Reason.NO_ROUTE, Reason.TIMEOUT]))
def test_any_order_of_messages_gets_one_action_each(received: list[Event], reason: Reason) -> None:
    # Invariant: whatever Envoy sends, each message has one action, nothing raises, and Route or Answer end the stream.
    stream = new_stream()
    for event in received:
        action = stream.receive(event)
        if isinstance(action, Ask):
            route = "code generation" if reason is Reason.MATCHED else None
            action = stream.classified(Classification(reason, route=route))
        assert stream.is_done == isinstance(action, Route | Answer)
        if stream.is_done:
            return


def test_a_later_attempt_gets_its_own_id_and_no_decision() -> None:
    stream = new_stream()
    assert stream.receive(HeadersReceived("", "", attempt_model="elsewhere/2")) == Continue()
    sent = b'{ "model" : "small", "seed":12345678901234567890}'
    assert stream.receive(BodyReceived(sent)) == Rewrite(b'{ "model" : "elsewhere/2", "seed":12345678901234567890}')
    assert stream.is_done


def test_a_later_attempt_whose_body_has_the_id_already_is_left_alone() -> None:
    stream = new_stream()
    stream.receive(HeadersReceived("", "", attempt_model="small"))
    assert stream.receive(body(model="small")) == Rewrite(None)


def test_a_later_attempt_may_be_longer_than_the_limit_by_what_the_first_id_added() -> None:
    stream = new_stream()
    stream.receive(HeadersReceived("", "", attempt_model="small"))
    assert isinstance(stream.receive(body(model="small", text="x" * LIMIT)), Rewrite)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true", "/v1/messages/count_tokens"])
def test_an_anthropic_request_is_classified_and_goes_to_the_model_of_the_pool_that_takes_it(path: str) -> None:
    stream = new_stream(MIXED)
    stream.receive(HeadersReceived("POST", path))
    blocks = [{"type": "text", "text": "write a parser"}]
    asked = stream.receive(body(model="auto", system="be kind", messages=[{"role": "user", "content": blocks}]))
    assert asked == Ask(Conversation((Turn("user", "write a parser"),)))
    routed = stream.classified(Classification(Reason.MATCHED, route="code generation"))
    assert isinstance(routed, Route)
    assert (routed.decision.model, routed.decision.upstream) == ("anthropic/claude", "model/anthropic/claude")
    assert json.loads(routed.body or b"")["model"] == "claude"


@pytest.mark.parametrize(
    ("asked_for", "turns"),
    [
        pytest.param("write a parser", [Turn("user", "write a parser")], id="a text"),
        pytest.param([{"role": "user", "content": "write a parser"}], [Turn("user", "write a parser")], id="items"),
    ],
)
def test_a_responses_request_is_classified_and_goes_to_the_model_of_the_pool_that_takes_it(
    asked_for: object, turns: list[Turn]
) -> None:
    stream = new_stream(MIXED)
    stream.receive(RESPONSES)
    assert stream.receive(body(model="auto", input=asked_for)) == Ask(Conversation(tuple(turns)))
    routed = stream.classified(Classification(Reason.MATCHED, route="code generation"))
    assert isinstance(routed, Route)
    assert routed.decision.upstream == "model/openai/code"


def test_a_responses_request_may_leave_its_input_to_the_provider() -> None:
    stream = new_stream(replace(MIXED, default=CODER))
    stream.receive(RESPONSES)
    routed = stream.receive(body(prompt={"id": "pmpt_1"}))
    assert isinstance(routed, Route)
    assert (routed.decision.model, routed.decision.reason) == ("openai/code", Reason.NO_TEXT)


@pytest.mark.parametrize(
    ("headers", "received", "status", "kind", "code"),
    [
        pytest.param(MESSAGES, body(model="claude"), 400, "invalid_request_error", "invalid_request", id="no messages"),
        pytest.param(
            MESSAGES, body(model="nope", messages=[]), 404, "not_found_error", "model_not_found", id="unknown model"
        ),
        pytest.param(
            MESSAGES, body(model="small", messages=[]), 400, "invalid_request_error", "unsupported_api", id="other API"
        ),
        pytest.param(
            MESSAGES, BodyReceived(b" " * (LIMIT + 1)), 413, "request_too_large", "body_too_large", id="too large"
        ),
        pytest.param(
            HeadersReceived("POST", "/v1/messages/count_tokens"),
            body(model="nope", messages=[]),
            404,
            "not_found_error",
            "model_not_found",
            id="counting tokens",
        ),
    ],
)
def test_a_refusal_of_an_anthropic_request_has_anthropics_shape(
    headers: HeadersReceived, received: BodyReceived, status: int, kind: str, code: str
) -> None:
    stream = new_stream(MIXED)
    stream.receive(headers)
    answer = stream.receive(received)
    assert isinstance(answer, Answer)
    document = json.loads(answer.body)
    assert (answer.status, document["type"]) == (status, "error")
    assert (document["error"]["type"], document["error"]["details"]) == (kind, {"error_code": code})


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(HeadersReceived("POST", "/v1/messages/batches"), id="an unknown path of Anthropic's"),
        pytest.param(HeadersReceived("POST", "/v1/files", anthropic_version="2023-06-01"), id="Anthropic's header"),
        pytest.param(HeadersReceived("GET", "/v1/messages"), id="another method"),
        pytest.param(replace(MESSAGES, body_mode=1), id="our own failure"),
        pytest.param(replace(MESSAGES, body_mode=1, attempt_model="claude"), id="our own failure at a later attempt"),
    ],
)
def test_headers_of_an_anthropic_request_that_cannot_be_served_are_answered_in_its_shape(
    headers: HeadersReceived,
) -> None:
    answer = new_stream(MIXED).receive(headers)
    assert isinstance(answer, Answer)
    assert set(json.loads(answer.body)) == {"type", "error"}


def test_a_refusal_of_a_responses_request_has_openais_shape() -> None:
    stream = new_stream(MIXED)
    stream.receive(RESPONSES)
    error = error_of(stream.receive(body(model="small", input="hi")))
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", "model", "unsupported_api")


def test_models_are_listed_to_an_anthropic_client_in_its_shape() -> None:
    headers = HeadersReceived("GET", "/v1/models", anthropic_version="2023-06-01", end_of_stream=True)
    answer = new_stream().receive(headers)
    assert isinstance(answer, Answer)
    listed = json.loads(answer.body)
    assert [entry["id"] for entry in listed["data"]] == ["auto", "fast", "openai/small", "openai/large", "openai/code"]
    assert {entry["type"] for entry in listed["data"]} == {"model"}
    assert (listed["has_more"], listed["first_id"], listed["last_id"]) == (False, "auto", "openai/code")


def test_one_model_is_shown_to_an_anthropic_client_in_its_shape() -> None:
    answer = new_stream().receive(
        HeadersReceived("GET", "/v1/models/openai%2Fsmall", anthropic_version="2023-06-01", end_of_stream=True)
    )
    assert isinstance(answer, Answer)
    assert json.loads(answer.body)["display_name"] == "openai/small"
