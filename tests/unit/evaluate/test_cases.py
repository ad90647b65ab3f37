from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.errors import ConfigError
from router_service.evaluate.cases import Case, read_cases
from router_service.routing.conversation import Conversation, Turn

ROUTES = ("debugging", "translation")
HELLO = '"messages": [{"role": "user", "content": "hello"}]'


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "cases.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_case_is_read_with_its_turns_label_and_conversation(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"id": "c1", "conversation": "k", "expected": "debugging", "messages": [{"role": "user", "content": "héllo"},'
        '{"role": "assistant", "content": "yes?"}, {"role": "user", "content": "why"}], "source": "ours"}\n',
    )
    turns = (Turn("user", "héllo"), Turn("assistant", "yes?"), Turn("user", "why"))
    assert read_cases(path, ROUTES) == (Case("c1", Conversation(turns), "debugging", "k"),)


def test_only_text_of_user_and_assistant_is_read(tmp_path: Path) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "what"}, {"type": "image_url", "image_url": {"url": "x"}}],
        },
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "content": "42"},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
    ]
    path = write(tmp_path, json.dumps({"messages": messages, "expected": "other"}))
    assert read_cases(path, ROUTES)[0].turns == Conversation((Turn("user", "what"), Turn("user", "one\ntwo")))


def test_a_null_or_missing_label_is_an_unlabelled_case(tmp_path: Path) -> None:
    path = write(tmp_path, f'{{{HELLO}, "expected": null}}\n\n{{{HELLO}}}\n')
    assert [(case.id, case.expected) for case in read_cases(path, ROUTES)] == [("1", None), ("3", None)]


def test_another_field_can_hold_the_label(tmp_path: Path) -> None:
    path = write(tmp_path, f'{{{HELLO}, "expected": "no such", "domain": "translation"}}')
    assert read_cases(path, ROUTES, "domain")[0].expected == "translation"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "FILE: holds no case; write one JSON object a line, as docs/evaluation.md shows", id="empty"),
        pytest.param(
            f'{{{HELLO}, "expected": "other"}}\n[1]\n',
            "FILE:2: is not a JSON object; write one JSON object a line; `jq -c '.[]'` turns a list into lines",
            id="a list",
        ),
        pytest.param(
            '{"messages": [\n',
            "FILE:1: is not JSON: Input data was truncated; write one JSON object on one line",
            id="not JSON",
        ),
        pytest.param(
            '{"id": "x", "expected": "other"}\n',
            'FILE:1: messages: is missing; write "messages": [{"role": "user", "content": "…"}]',
            id="no messages",
        ),
        pytest.param(
            '{"messages": [{"role": "user", "content": "a"}, {"content": "b"}], "expected": "other"}\n',
            "FILE:1: messages[1]: object missing required field `role`; see docs/evaluation.md",
            id="a message without role",
        ),
        pytest.param(
            f'{{{HELLO}, "expected": 3}}\n',
            "FILE:1: expected: is not a name; write text in quotes, or null",
            id="a label that is a number",
        ),
        pytest.param(
            f'{{{HELLO}, "label": "other"}}\n',
            "FILE: no case has the field 'expected'; name the label with --label; there are: messages, label",
            id="another name for the label",
        ),
        pytest.param(
            f'{{{HELLO}, "expected": "debuging"}}\n{{{HELLO}, "expected": "debuging"}}\n{{{HELLO}, "expected": "x"}}\n',
            "FILE:1: expected: 'debuging' (2 cases) is not a route; did you mean 'debugging'?\n"
            "FILE:3: expected: 'x' (1 case) is not a route; the routes are: debugging, translation; or other",
            id="labels that are no routes",
        ),
    ],
)
def test_a_wrong_file_is_told_with_line_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        read_cases(path, ROUTES)
    assert str(raised.value).replace(str(path), "FILE") == message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_cases(tmp_path / "none.jsonl", ROUTES)


def test_a_file_of_another_format_prints_twenty_problems_and_the_number_of_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path, "text\n" * 50)
    with pytest.raises(ConfigError) as raised:
        read_cases(path, ROUTES)
    assert len(raised.value.problems) == 21
    assert raised.value.problems[-1].what == "30 more problems"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused_with_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    # Never another exception, whatever is in the file.
    path = write(tmp_path_factory.mktemp("cases"), raw)
    with suppress(ConfigError):
        assert read_cases(path, ROUTES)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["id", "messages", "expected", "conversation"]), json_values))
def test_any_object_is_read_or_refused_with_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, object]
) -> None:
    # Shapes that are nearly a case: wrong types at any depth.
    path = write(tmp_path_factory.mktemp("cases"), json.dumps(members))
    with suppress(ConfigError):
        assert read_cases(path, ROUTES)
