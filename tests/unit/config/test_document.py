"""YAML text becomes a tree that knows where each value was written, or problems; nothing is ever raised."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from router_service.config.document import Node, join, parse


def _tree(text: str) -> Node:
    root, problems = parse(text)
    assert problems == []
    assert root is not None
    return root


def test_a_value_of_a_mapping_stands_at_the_line_of_its_key() -> None:
    root = _tree("a: 1\nlong: >\n  a text\n  in lines\nlist:\n\n  - x\n  - y: 1\n")
    assert root.entries["long"].line == 2
    assert root.entries["list"].line == 5
    assert [item.line for item in root.entries["list"].items] == [7, 8]


def test_paths_are_dotted_with_positions_and_quotes_where_a_key_has_dots() -> None:
    root = _tree("a:\n  b:\n    - c: 1\n  v1.0: x\n")
    assert root.entries["a"].entries["b"].items[0].entries["c"].path == "a.b[0].c"
    assert root.entries["a"].entries["v1.0"].path == 'a["v1.0"]'


def test_an_alias_takes_the_path_where_it_is_used() -> None:
    root = _tree("x: &x {a: 1}\ny: [*x]\n")
    used = root.entries["y"].items[0]
    assert (used.path, used.line, used.entries["a"].path) == ("y[0]", 2, "y[0].a")


def test_merge_keys_fill_in_what_is_not_set() -> None:
    root = _tree("x: &x {a: 1, b: 1}\nz: &z {c: 3, a: 3}\ny: {<<: [*x, *z], b: 2}\n")
    assert root.entries["y"].plain() == {"a": 1, "b": 2, "c": 3}
    assert root.entries["y"].entries["a"].path == "y.a"


def test_keys_are_the_text_that_was_written_and_dates_stay_texts() -> None:
    assert _tree("on: 2024-10-21\n1.5: null\n").plain() == {"on": "2024-10-21", "1.5": None}


def test_numbers_that_python_does_not_read_stay_texts() -> None:
    assert _tree(f"a: 0x_\nb: {'9' * 5000}\nc: !!int x\n").plain() == {"a": "0x_", "b": "9" * 5000, "c": "x"}


def test_a_long_key_is_shortened_in_a_path() -> None:
    assert join("a", "k" * 100) == f'a["{"k" * 60}…"]'


def test_a_hundred_thousand_open_brackets_are_refused_at_once() -> None:
    root, problems = parse("a: " + "[" * 100_000)
    assert root is None
    assert [problem.what for problem in problems] == ["a value is nested deeper than 40 levels"]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(_VALUES)
def test_what_yaml_dumps_is_read_back_as_it_was(value: object) -> None:
    # Our reader agrees with PyYAML's own on everything that PyYAML writes (keys, dates and depth aside).
    text = yaml.safe_dump({"value": value}, allow_unicode=True)
    root, problems = parse(text)
    assert problems == []
    assert root is not None
    assert root.plain() == yaml.safe_load(text)


@given(st.text())
def test_any_text_is_a_tree_or_problems(text: str) -> None:
    # Nothing is raised, and a text without a tree and without problems is empty.
    root, problems = parse(text)
    assert root is not None or problems or yaml.safe_load(text) is None
