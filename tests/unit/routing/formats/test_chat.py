"""Reading OpenAI's `messages`: what is kept, what is passed over, and what is refused and where."""

from __future__ import annotations

import json
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.errors import InvalidRequest
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.formats.chat import read_chat_messages

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}
WEATHER_CALL = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Tokyo"}'}}


def read(messages: object) -> Conversation:
    return read_chat_messages(json.dumps(messages).encode())


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        pytest.param([], [], id="no messages"),
        pytest.param([user("hi")], [("user", "hi")], id="a string"),
        pytest.param([user("")], [], id="empty text"),
        pytest.param([user(" \n")], [], id="white space only"),
        pytest.param([user(None)], [], id="null"),
        pytest.param([{"role": "assistant"}], [], id="no content"),
        pytest.param([user([])], [], id="no parts"),
        pytest.param(
            [user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])],
            [("user", "a\nb")],
            id="text parts are joined with newlines",
        ),
        pytest.param(
            [
                user(
                    [
                        {"type": "text", "text": "hi"},
                        IMAGE,
                    ]
                )
            ],
            [("user", "hi")],
            id="text beside an image",
        ),
        pytest.param(
            [
                user(
                    [
                        AUDIO,
                        {"type": "file", "file": {}},
                    ]
                )
            ],
            [],
            id="audio and file only",
        ),
        pytest.param(
            [{"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]}, user("ok")],
            [("user", "ok")],
            id="a refusal is no text",
        ),
        pytest.param(
            [user([{"type": "hologram", "text": {"not": "a string"}}, {"type": "text", "text": "hi"}])],
            [("user", "hi")],
            id="a part of a type yet unknown",
        ),
        pytest.param(
            [
                {"role": "system", "content": "s"},
                {"role": "developer", "content": [{"type": "text", "text": "d"}]},
                {"role": "tool", "tool_call_id": "1", "content": "t"},
                {"role": "function", "name": "f", "content": "f"},
                {"role": "critic", "content": "c"},
                user("hi"),
            ],
            [("user", "hi")],
            id="other roles, known or not",
        ),
        pytest.param(
            [
                user("What's the weather like in Tokyo?"),
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [WEATHER_CALL],
                },
                {"role": "tool", "tool_call_id": "c", "content": '{"temperature": "22°C"}'},
                {"role": "assistant", "content": "The current weather in Tokyo is 22°C and sunny."},
                user("What about in New York?"),
            ],
            [
                ("user", "What's the weather like in Tokyo?"),
                ("assistant", "The current weather in Tokyo is 22°C and sunny."),
                ("user", "What about in New York?"),
            ],
            id="a tool loop keeps what was said",
        ),
        pytest.param([user("😀 \u0000 \ud83d\ude00")], [("user", "😀 \u0000 😀")], id="escapes, pairs and nul"),
    ],
)
def test_the_turns_of_user_and_assistant_that_carry_text_are_kept(
    messages: list[object], turns: list[tuple[str, str]]
) -> None:
    assert [(turn.role, turn.content) for turn in read(messages).turns] == turns


@pytest.mark.parametrize(
    ("raw", "param", "message"),
    [
        pytest.param(b"5", "messages", "messages: expected `array`, got `int`.", id="not a list"),
        pytest.param(b'{"role":"user"}', "messages", "messages: expected `array`, got `object`.", id="an object"),
        pytest.param(b"null", "messages", "messages: expected `array`, got `null`.", id="null"),
        pytest.param(
            b'["hi"]', "messages[0]", "messages[0]: expected `object`, got `str`.", id="a string for a message"
        ),
        pytest.param(
            b'[{"content":"hi"}]', "messages[0]", "messages[0]: object missing required field `role`.", id="no role"
        ),
        pytest.param(
            b'[{"role":7}]', "messages[0].role", "messages[0].role: expected `str`, got `int`.", id="role of wrong type"
        ),
        pytest.param(
            b'[{"role":"user"},{"role":"user","content":5}]',
            "messages[1].content",
            "messages[1].content: expected `str | array | null`, got `int`.",
            id="content is a number",
        ),
        pytest.param(
            b'[{"role":"user","content":["hi"]}]',
            "messages[0].content[0]",
            "messages[0].content[0]: expected `object`, got `str`.",
            id="a string for a part",
        ),
        pytest.param(
            b'[{"role":"user","content":[{"type":"text","text":["hi"]}]}]',
            "messages[0].content[0].text",
            "messages[0].content[0].text: expected `str`, got `array`.",
            id="text of wrong type",
        ),
        pytest.param(
            b'[{"role":"user","content":[{"type":"text"}]}]',
            "messages[0].content[0].text",
            "messages[0].content[0].text: a part of type `text` needs it.",
            id="text part without text",
        ),
        pytest.param(
            b'[{"role":"user","content":"\xff"}]',
            "messages",
            "messages is not valid JSON in UTF-8, or has a lone surrogate.",
            id="not UTF-8",
        ),
        pytest.param(
            b'[{"role":"user","content":"\xed\xa0\x80"}]',
            "messages",
            "messages is not valid JSON in UTF-8, or has a lone surrogate.",
            id="a surrogate in UTF-8",
        ),
        pytest.param(
            b'[{"role":"user","content":"\\ud800 and more text"}]',
            "messages",
            "messages is not valid JSON in UTF-8, or has a lone surrogate.",
            id="a lone surrogate",
        ),
        pytest.param(
            b'[{"role":"user","content":[{"type":"text","text":"\xff"}]}]',
            "messages[0].content[0].text",
            "messages[0].content[0].text is not valid JSON in UTF-8, or has a lone surrogate.",
            id="a part that is not UTF-8",
        ),
        pytest.param(
            b'[{"role":"user","content":"hi"',
            "messages",
            "messages is not valid JSON in UTF-8, or has a lone surrogate.",
            id="cut off",
        ),
        pytest.param(
            b'[{"role":"user","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
            "messages",
            "messages is nested too deeply.",
            id="too deep where it is passed over",
        ),
        pytest.param(
            b'[{"role":"user","content":[{"type":"x","text":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}]}]",
            "messages",
            "messages is nested too deeply.",
            id="too deep in a part",
        ),
    ],
)
def test_a_wrong_type_is_refused_and_named(raw: bytes, param: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_chat_messages(raw)
    assert (caught.value.param, caught.value.message) == (param, message)


def test_the_field_may_be_a_span_of_the_body() -> None:
    body = msgspec.json.decode(b'{"messages": [{"role":"user","content":"hi"}], "n": 1}', type=dict[str, msgspec.Raw])
    assert read_chat_messages(body["messages"]) == Conversation((Turn("user", "hi"),))


def test_an_image_of_thirty_megabytes_is_never_copied() -> None:
    image = b'{"type":"image_url","image_url":{"url":"data:image/png;base64,' + b"A" * 30_000_000 + b'"}}'
    raw = b'[{"role":"user","content":[{"type":"text","text":"what is this?"},' + image + b"]}]"
    tracemalloc.start()
    try:
        assert read_chat_messages(raw).turns == (Turn("user", "what is this?"),)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


json_values: st.SearchStrategy[object] = st.sampled_from(
    [None, True, 7, "text", [], ["a", [1.5]], {}, {"a": {"b": []}}]
)
text_parts = st.fixed_dictionaries({"type": st.just("text"), "text": st.text()})
other_parts = st.fixed_dictionaries(
    {"type": st.sampled_from(["image_url", "file", "refusal", "hologram"])},
    optional={"text": json_values},
)
contents = st.none() | st.text() | st.lists(text_parts | other_parts, max_size=4)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "developer", "tool", "critic"])},
    optional={"content": contents, "tool_calls": json_values, "name": json_values},
)


def said(message: dict[str, object]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    assert isinstance(content, list)
    return "\n".join(part["text"] for part in content if part["type"] == "text")


@given(st.lists(messages, max_size=8), st.booleans())
def test_any_valid_messages_are_read_as_their_plain_meaning(said_by: list[dict[str, object]], ascii_only: bool) -> None:
    # Invariant: the same turns as a naive reading with the standard library's JSON.
    raw = json.dumps(said_by, ensure_ascii=ascii_only).encode()
    expected = [
        (message["role"], said(message))
        for message in said_by
        if message["role"] in ("user", "assistant") and said(message).strip()
    ]
    assert [(turn.role, turn.content) for turn in read_chat_messages(raw).turns] == expected


@given(st.binary(max_size=60) | st.lists(contents | json_values).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_conversation_or_an_invalid_request(raw: bytes) -> None:
    # Invariant: nothing but InvalidRequest is ever raised, and its param is a path into messages.
    try:
        outcome: Conversation | str | None = read_chat_messages(raw)
    except InvalidRequest as error:
        outcome = error.param
    assert isinstance(outcome, Conversation) or str(outcome).startswith("messages")
