"""The demo provider's answers: honest, countable, and the same whole as streamed."""

import base64
import struct
from collections.abc import Mapping
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.demo.answers import APIS, Api, Asked, Event, Reply, find_api, mask

KEYS = {"Authorization": "sk-a…3f"}


def reply_to(body: Mapping[str, object], path: str = "/v1/chat/completions", keys: Mapping[str, str] = KEYS) -> Reply:
    return Reply(Asked("anthropic", path, body, keys), id="demo-1", created=1_700_000_000)


def api_of(path: str) -> Api:
    api = find_api(path)
    assert api is not None
    return api


def as_json(value: object) -> dict[str, object]:
    """What the client reads, so that nothing passes that cannot be written as JSON."""
    return cast("dict[str, object]", msgspec.json.decode(msgspec.json.encode(value)))


def test_the_text_says_who_was_asked_for_what_where_and_with_which_key() -> None:
    assert reply_to({"model": "claude-sonnet-4-5"}).text == (
        'demo provider "anthropic" · model claude-sonnet-4-5 · path /v1/chat/completions · key sk-a…3f (Authorization)'
    )


def test_a_request_without_a_key_is_said_to_have_none() -> None:
    assert reply_to({"model": "m"}, keys={}).text.endswith("· no key")


@pytest.mark.parametrize(
    ("key", "masked"),
    [
        pytest.param("sk-ant-0123456789abc3f", "sk-a…3f", id="long"),
        pytest.param("sk-12345678", "…", id="too short to show any of it"),
        pytest.param("", "…", id="empty"),
    ],
)
def test_a_key_is_never_shown_whole(key: str, masked: str) -> None:
    assert mask(key) == masked


@pytest.mark.parametrize(
    ("path", "end"),
    [
        pytest.param("/v1/chat/completions", "/chat/completions", id="openai"),
        pytest.param("/openai/v1/chat/completions", "/chat/completions", id="groq's prefix"),
        pytest.param("/v1/completions", "/completions", id="completions"),
        pytest.param("/v1beta/openai/embeddings", "/embeddings", id="gemini's prefix"),
        pytest.param("/v1/messages", "/messages", id="messages"),
        pytest.param("/v1/messages/count_tokens", "/messages/count_tokens", id="counting tokens"),
        pytest.param("/v1/responses", "/responses", id="responses"),
    ],
)
def test_an_api_is_found_behind_any_prefix(path: str, end: str) -> None:
    assert find_api(path) is APIS[end]


def test_any_other_path_is_no_api() -> None:
    assert find_api("/v1/chat") is None


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        pytest.param({"messages": [{"role": "user", "content": "write a poem"}]}, 3, id="text"),
        pytest.param(
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "write a poem"}, {"type": "image_url"}]}
                ]
            },
            3,
            id="parts",
        ),
        pytest.param({"system": "be brief", "messages": [{"role": "user", "content": "hi"}]}, 3, id="system"),
        pytest.param({"input": ["one two", "three"]}, 3, id="inputs"),
        pytest.param({"input": [1, 2, 3]}, 0, id="token ids"),
        pytest.param({}, 0, id="nothing"),
    ],
)
def test_the_words_of_a_prompt_are_counted(body: Mapping[str, object], tokens: int) -> None:
    assert reply_to(body).prompt_tokens == tokens


def chat_words(events: list[Event]) -> list[str]:
    chunks = [as_json(event.payload) for event in events if event.payload != "[DONE]"]
    deltas = [
        choice["delta"] for chunk in chunks for choice in cast("list[dict[str, dict[str, str]]]", chunk["choices"])
    ]
    return [delta["content"] for delta in deltas if delta.get("content")]


@given(model=st.text(max_size=20))
def test_a_stream_says_the_same_as_the_whole_answer(model: str) -> None:
    # Invariant: whatever the model is called, the streamed words are the answer's text, in several pieces.
    reply = reply_to({"model": model, "stream": True})
    api = api_of("/v1/chat/completions")
    assert api.events is not None

    words = chat_words(list(api.events(reply)))

    assert len(words) > 5
    assert "".join(words) == reply.text


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("asked_for", [True, False])
def test_usage_ends_a_stream_only_when_asked_for(path: str, asked_for: bool) -> None:
    reply = reply_to({"model": "m", "stream": True, "stream_options": {"include_usage": asked_for}}, path)
    events = api_of(path).events
    assert events is not None
    *chunks, done = events(reply)

    assert done.payload == "[DONE]"
    last = as_json(chunks[-1].payload)
    assert (last["choices"] == []) is asked_for
    assert ("usage" in last) is asked_for


@pytest.mark.parametrize(
    ("asked", "vectors"),
    [
        pytest.param("hello", 1, id="text"),
        pytest.param(["hello", "you"], 2, id="texts"),
        pytest.param([1, 2, 3], 1, id="token ids"),
        pytest.param([[1, 2], [3]], 2, id="lists of token ids"),
    ],
)
def test_each_input_gets_a_vector_of_the_size_asked_for(asked: object, vectors: int) -> None:
    answer = as_json(api_of("/v1/embeddings").whole(reply_to({"model": "m", "input": asked, "dimensions": 5})))

    found = [row["embedding"] for row in cast("list[dict[str, list[float]]]", answer["data"])]
    assert [len(vector) for vector in found] == [5] * vectors
    assert all(-1 <= number <= 1 for vector in found for number in vector)


def test_base64_vectors_are_the_same_numbers() -> None:
    embeddings = api_of("/v1/embeddings")

    def vector(encoding: str) -> object:
        answer = as_json(embeddings.whole(reply_to({"input": "hello", "encoding_format": encoding})))
        return cast("list[dict[str, object]]", answer["data"])[0]["embedding"]

    floats = cast("list[float]", vector("float"))
    packed = base64.b64decode(cast(str, vector("base64")))
    assert list(struct.unpack(f"<{len(floats)}f", packed)) == pytest.approx(floats)


def test_counting_the_tokens_of_a_message_counts_those_it_is_billed_for() -> None:
    body = {"model": "m", "system": "be brief", "messages": [{"role": "user", "content": "write a poem"}]}
    counted = as_json(api_of("/v1/messages/count_tokens").whole(reply_to(body, "/v1/messages/count_tokens")))
    assert counted == {"input_tokens": 5}
