"""Reading OpenAI's `messages`: what is kept, what is passed over, and what is refused and where."""

from __future__ import annotations

import json

import msgspec
import pytest

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
