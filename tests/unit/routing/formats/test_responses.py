"""Reading the `input` of OpenAI's Responses: what is kept, what is passed over, and what is refused and where."""

from __future__ import annotations

import json

import pytest

from router_service.errors import InvalidRequest
from router_service.routing.conversation import Conversation
from router_service.routing.formats.responses import read_input

IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"}
CALL = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": '{"city":"Tokyo"}'}
RESULT = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "22 degrees"}]}
REASONING = {"type": "reasoning", "id": "r", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}


def asked(text: str) -> dict[str, object]:
    return {"type": "input_text", "text": text}


def answered(text: str) -> dict[str, object]:
    return {
        "type": "message",
        "id": "m",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def read(value: object) -> Conversation:
    return read_input(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("value", "turns"),
    [
        pytest.param("hi", [("user", "hi")], id="a string is the user's"),
        pytest.param(" \n", [], id="white space only"),
        pytest.param(None, [], id="null"),
        pytest.param([], [], id="no items"),
        pytest.param([user("hi")], [("user", "hi")], id="a message without a type"),
        pytest.param([user([asked("a"), asked("b")])], [("user", "a\nb")], id="text parts are joined with newlines"),
        pytest.param([user([asked("hi"), IMAGE])], [("user", "hi")], id="text beside an image"),
        pytest.param([user([IMAGE, {"type": "input_file", "file_id": "f"}])], [], id="image and file only"),
        pytest.param([{"type": "message", "role": "user"}], [], id="no content"),
        pytest.param([user(None)], [], id="null content"),
        pytest.param(
            [user([{"type": "hologram", "text": {"not": "a string"}}, asked("hi")])],
            [("user", "hi")],
            id="a part of a type yet unknown",
        ),
        pytest.param(
            [
                {"role": "system", "content": "s"},
                {"role": "developer", "content": [asked("d")]},
                {"role": "critic", "content": 7},
                user("hi"),
            ],
            [("user", "hi")],
            id="other roles, known or not",
        ),
        pytest.param(
            [user("hi"), {"id": "msg_1"}, {"type": "item_reference", "id": "msg_2"}],
            [("user", "hi")],
            id="references to what is stored elsewhere",
        ),
        pytest.param(
            [
                {"type": "hologram", "role": 5, "content": {"a": 1}},
                {"type": "mcp_call", "role": "user", "content": "x"},
            ],
            [],
            id="items of other types, whatever is in them",
        ),
        pytest.param(
            [
                user("Weather in Tokyo?"),
                REASONING,
                CALL,
                RESULT,
                answered("22 degrees."),
                {"type": "message", "role": "user", "content": [asked("And in New York?")]},
            ],
            [("user", "Weather in Tokyo?"), ("assistant", "22 degrees."), ("user", "And in New York?")],
            id="a tool loop keeps what was said",
        ),
    ],
)
def test_the_turns_that_carry_text_are_kept(value: object, turns: list[tuple[str, str]]) -> None:
    assert [(turn.role, turn.content) for turn in read(value).turns] == turns


@pytest.mark.parametrize(
    ("raw", "param", "message"),
    [
        pytest.param(b"5", "input", "input: expected `str | array | null`, got `int`.", id="a number"),
        pytest.param(b'["hi"]', "input[0]", "input[0]: expected `object`, got `str`.", id="a string for an item"),
        pytest.param(
            b'[{"type":"message","content":"hi"}]', "input[0]", "input[0]: a message needs a `role`.", id="no role"
        ),
        pytest.param(
            b'[{"role":7}]', "input[0].role", "input[0].role: expected `str`, got `int`.", id="role of wrong type"
        ),
        pytest.param(
            b'[{"id":"m"},{"role":"user","content":5}]',
            "input[1].content",
            "input[1].content: expected `str | array | null`, got `int`.",
            id="content is a number",
        ),
        pytest.param(
            b'[{"role":"user","content":[{"text":"hi"}]}]',
            "input[0].content[0]",
            "input[0].content[0]: object missing required field `type`.",
            id="a part without a type",
        ),
        pytest.param(
            b'[{"role":"user","content":[{"type":"input_text"}]}]',
            "input[0].content[0].text",
            "input[0].content[0].text: a part of type `input_text` needs it.",
            id="a text part without text",
        ),
        pytest.param(
            b'[{"role":"user","content":"\\ud800 and more text"}]',
            "input",
            "input is not valid JSON in UTF-8, or has a lone surrogate.",
            id="a lone surrogate",
        ),
        pytest.param(
            b'[{"type":"x","content":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
            "input",
            "input is nested too deeply.",
            id="too deep where it is passed over",
        ),
    ],
)
def test_a_wrong_type_is_refused_and_named(raw: bytes, param: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_input(raw)
    assert (caught.value.param, caught.value.message) == (param, message)
