"""Reading Anthropic's `messages`: what is kept, what is passed over, and what is refused and where."""

from __future__ import annotations

import json

import pytest

from router_service.errors import InvalidRequest
from router_service.routing.conversation import Conversation
from router_service.routing.formats.messages import read_anthropic_messages

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "not said by anybody"}}
CALL = {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": "Tokyo", "text": 5}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "22 degrees"}]}
THINKING = {"type": "thinking", "thinking": "hm", "signature": "s"}


def text(said: str) -> dict[str, object]:
    return {"type": "text", "text": said, "cache_control": {"type": "ephemeral"}}


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def read(messages: object) -> Conversation:
    return read_anthropic_messages(json.dumps(messages).encode())


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        pytest.param([], [], id="no messages"),
        pytest.param([user("hi")], [("user", "hi")], id="a string"),
        pytest.param([user(" \n")], [], id="white space only"),
        pytest.param([user([text("a"), text("b")])], [("user", "a\nb")], id="text blocks are joined with newlines"),
        pytest.param([user([IMAGE, text("hi"), DOCUMENT])], [("user", "hi")], id="text beside image and document"),
        pytest.param([user([IMAGE])], [], id="an image only"),
        pytest.param([user([RESULT])], [], id="a tool's result is not the user's text"),
        pytest.param([user([RESULT, text("and in Oslo?")])], [("user", "and in Oslo?")], id="text beside a result"),
        pytest.param(
            [{"role": "assistant", "content": [THINKING, text("I look."), CALL]}],
            [("assistant", "I look.")],
            id="of the assistant what it said, not what it thought or called",
        ),
        pytest.param(
            [user([{"type": "hologram", "text": {"not": "a string"}}, text("hi")])],
            [("user", "hi")],
            id="a block of a type yet unknown",
        ),
        pytest.param(
            [{"role": "system", "content": "be kind"}, {"role": "critic", "content": "c"}, user("hi")],
            [("user", "hi")],
            id="other roles, known or not",
        ),
        pytest.param(
            [
                user("Weather in Tokyo?"),
                {"role": "assistant", "content": [CALL]},
                user([RESULT]),
                {"role": "assistant", "content": "22 degrees."},
                user("And in New York?"),
            ],
            [("user", "Weather in Tokyo?"), ("assistant", "22 degrees."), ("user", "And in New York?")],
            id="a tool loop keeps what was said",
        ),
    ],
)
def test_the_turns_that_carry_text_are_kept(messages: list[object], turns: list[tuple[str, str]]) -> None:
    assert [(turn.role, turn.content) for turn in read(messages).turns] == turns


@pytest.mark.parametrize(
    ("raw", "param", "message"),
    [
        pytest.param(b'"hi"', "messages", "messages: expected `array`, got `str`.", id="a string for the list"),
        pytest.param(
            b'[{"content":"hi"}]', "messages[0]", "messages[0]: object missing required field `role`.", id="no role"
        ),
        pytest.param(
            b'[{"role":"user","content":{"type":"text"}}]',
            "messages[0].content",
            "messages[0].content: expected `str | array | null`, got `object`.",
            id="a block for the list of them",
        ),
        pytest.param(
            b'[{"role":"user","content":[{"text":"hi"}]}]',
            "messages[0].content[0]",
            "messages[0].content[0]: object missing required field `type`.",
            id="a block without a type",
        ),
        pytest.param(
            b'[{"role":"user","content":[{"type":"text"}]}]',
            "messages[0].content[0].text",
            "messages[0].content[0].text: a part of type `text` needs it.",
            id="a text block without text",
        ),
        pytest.param(
            b'[{"role":"user","content":"\xff"}]',
            "messages",
            "messages is not valid JSON in UTF-8, or has a lone surrogate.",
            id="not UTF-8",
        ),
    ],
)
def test_a_wrong_type_is_refused_and_named(raw: bytes, param: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_anthropic_messages(raw)
    assert (caught.value.param, caught.value.message) == (param, message)
