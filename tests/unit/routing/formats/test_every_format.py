"""What holds for every way of writing a conversation: Chat Completions, Anthropic's Messages, Responses."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.errors import InvalidRequest
from router_service.routing.conversation import Conversation
from router_service.routing.formats.chat import read_chat_messages
from router_service.routing.formats.messages import read_anthropic_messages
from router_service.routing.formats.responses import read_input

Item = dict[str, object]

json_values: st.SearchStrategy[object] = st.sampled_from(
    [None, True, 7, "text", [], ["a", [1.5]], {}, {"a": {"b": []}}]
)


@dataclass(frozen=True)
class Format:
    """`items` are valid ones, and values that may stand where their content does are `contents`."""

    read: Callable[[bytes], Conversation]
    field: str
    contents: st.SearchStrategy[object]
    items: st.SearchStrategy[Item]
    text_types: tuple[str, ...]
    image: tuple[bytes, bytes]  # what stands before and behind the data of an image


def contents(text_types: list[str], others: st.SearchStrategy[Item]) -> st.SearchStrategy[object]:
    texts = st.fixed_dictionaries({"type": st.sampled_from(text_types), "text": st.text()})
    return st.text() | st.lists(texts | others, max_size=4)


def kinds(*names: str, **optional: st.SearchStrategy[object]) -> st.SearchStrategy[Item]:
    return st.fixed_dictionaries({"type": st.sampled_from(names)}, optional=optional)


def roles(*names: str) -> dict[str, st.SearchStrategy[str]]:
    return {"role": st.sampled_from(names)}


CHAT_CONTENTS = st.none() | contents(["text"], kinds("image_url", "file", "refusal", "hologram", text=json_values))
CHAT = Format(
    read_chat_messages,
    "messages",
    CHAT_CONTENTS,
    st.fixed_dictionaries(
        roles("user", "assistant", "system", "developer", "tool", "critic"),
        optional={"content": CHAT_CONTENTS, "tool_calls": json_values, "name": json_values},
    ),
    ("text",),
    (b'{"type":"image_url","image_url":{"url":"data:image/png;base64,', b'"}}'),
)
ANTHROPIC_BLOCKS = st.fixed_dictionaries({"type": st.just("text"), "text": st.text()})
ANTHROPIC_CONTENTS = contents(
    ["text"],
    kinds(
        "image", "tool_use", "tool_result", "thinking", "hologram",
        text=json_values, content=st.lists(ANTHROPIC_BLOCKS, max_size=2) | st.text(), input=json_values,
    ),
)  # fmt: skip
ANTHROPIC = Format(
    read_anthropic_messages,
    "messages",
    ANTHROPIC_CONTENTS,
    st.fixed_dictionaries(
        {**roles("user", "assistant", "system", "critic"), "content": ANTHROPIC_CONTENTS},
        optional={"name": json_values},
    ),
    ("text",),
    (b'{"type":"image","source":{"type":"base64","data":"', b'"}}'),
)
RESPONSES_CONTENTS = st.none() | contents(
    ["input_text", "output_text"], kinds("input_image", "input_file", "refusal", "hologram", text=json_values)
)
RESPONSES = Format(
    read_input,
    "input",
    RESPONSES_CONTENTS,
    st.fixed_dictionaries(
        roles("user", "assistant", "system", "developer", "critic"),
        optional={"content": RESPONSES_CONTENTS, "type": st.sampled_from(["message", None]), "phase": json_values},
    )
    | kinds(
        "function_call", "function_call_output", "reasoning", "hologram",
        role=json_values, content=json_values | RESPONSES_CONTENTS, output=json_values,
    ),
    ("input_text", "output_text"),
    (b'{"type":"input_image","image_url":"data:image/png;base64,', b'"}'),
)  # fmt: skip
FORMATS = [
    pytest.param(CHAT, id="chat"), pytest.param(ANTHROPIC, id="anthropic"), pytest.param(RESPONSES, id="responses")
]  # fmt: skip


def plainly(item: Item, text_types: tuple[str, ...]) -> tuple[object, str]:
    """Who says what, read naively; nothing if it is neither the user's nor the assistant's."""
    content = item.get("content") or ""
    if item.get("type") not in (None, "message") or item.get("role") not in ("user", "assistant"):
        return None, ""
    if isinstance(content, str):
        return item["role"], content
    assert isinstance(content, list)
    return item["role"], "\n".join(part["text"] for part in content if part["type"] in text_types)


@pytest.mark.parametrize("written", FORMATS)
@given(st.data(), st.booleans())
def test_what_is_valid_is_read_as_its_plain_meaning(written: Format, data: st.DataObject, ascii_only: bool) -> None:
    # Invariant: the same turns as a naive reading with the standard library's JSON.
    items = data.draw(st.lists(written.items, max_size=8))
    said = [plainly(item, written.text_types) for item in items]
    read = written.read(json.dumps(items, ensure_ascii=ascii_only).encode())
    assert [(turn.role, turn.content) for turn in read.turns] == [turn for turn in said if turn[1].strip()]


@pytest.mark.parametrize("written", FORMATS)
@given(st.data())
def test_any_bytes_are_a_conversation_or_an_invalid_request(written: Format, data: st.DataObject) -> None:
    # Invariant: nothing but InvalidRequest is ever raised, and its param is a path into the field.
    lists = st.lists(written.contents | json_values).map(lambda value: json.dumps(value).encode())
    try:
        outcome: Conversation | str | None = written.read(data.draw(st.binary(max_size=60) | lists))
    except InvalidRequest as error:
        outcome = error.param
    assert isinstance(outcome, Conversation) or str(outcome).startswith(written.field)


@pytest.mark.parametrize("written", FORMATS)
def test_an_image_of_thirty_megabytes_is_never_copied(written: Format) -> None:
    before, behind = written.image
    text = json.dumps({"type": written.text_types[0], "text": "what is this?"}).encode()
    raw = b'[{"role":"user","content":[' + text + b"," + before + b"A" * 30_000_000 + behind + b"]}]"
    tracemalloc.start()
    try:
        assert [turn.content for turn in written.read(raw).turns] == ["what is this?"]
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
