"""YAML text to a tree of values that know where they were written.

Owns positions, duplicate keys, merge keys (`<<`), and what is wrong with the text itself; knows nothing of the file's
meaning. Never raises: what is wrong comes back as problems.

Built from PyYAML's parser events rather than its composer, which recurses: 200,000 opening brackets, or an alias of an
alias of an alias, would exhaust memory before any limit of ours could speak. Booleans and numbers are read as PyYAML
reads them (YAML 1.1), a mapping's keys always as the text that was written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.resolver import Resolver

from router_service.errors import Problem

Scalar = str | int | float | bool | None

MAX_DEPTH = 40  # the deepest section of a real file is at 8
MAX_NODES = 100_000  # values after aliases are followed; a file of 1 MiB without aliases stays below it

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """One value: where it stands (the line of its key, or of itself in a list) and its dotted path as written."""

    value: Scalar | tuple[Node, ...] | Mapping[str, Node]
    line: int
    path: str

    @property
    def entries(self) -> Mapping[str, Node]:
        """The entries of a mapping; none of anything else."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> tuple[Node, ...]:
        """The items of a list; none of anything else."""
        return self.value if isinstance(self.value, tuple) else ()

    @property
    def text(self) -> str | None:
        """The value of a text, None for anything else."""
        return self.value if isinstance(self.value, str) else None

    def plain(self) -> object:
        """Dicts, lists and scalars without positions."""
        if isinstance(self.value, tuple):
            return [item.plain() for item in self.value]
        if isinstance(self.value, Mapping):
            return {key: entry.plain() for key, entry in self.value.items()}
        return self.value


def join(path: str, key: str | int) -> str:
    """The path of an entry: `a.b`, `a[0]`, or `a["with.dots"]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    shown = key if len(key) <= 60 else f"{key[:60]}…"
    if re.fullmatch(r"[A-Za-z0-9_-]+", shown):
        return f"{path}.{shown}" if path else shown
    return f"{path}[{json.dumps(shown, ensure_ascii=False)}]"


def parse(text: str) -> tuple[Node | None, list[Problem]]:
    """The document's tree, None if the text is not YAML at all; and its problems."""
    builder = _Builder()
    try:
        for event in _events(text):
            builder.feed(event)
    except _Unusable as unusable:
        return None, [*builder.problems, unusable.problem]
    except yaml.YAMLError as error:
        return None, [*builder.problems, _syntax_problem(error, text)]
    return builder.root, builder.problems


class _Unusable(Exception):
    """The rest of the text cannot be read."""

    def __init__(self, line: int, path: str, what: str, todo: str) -> None:
        super().__init__(what)
        self.problem = Problem(path, what, todo, line)


def _events(text: str) -> Iterator[yaml.Event]:
    return yaml.parse(text, Loader=_LOADER)


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not been read."""

    line: int
    path: str
    anchor: str | None
    is_mapping: bool
    size_before: int
    entries: dict[str, Node] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    merged: list[Node] = field(default_factory=list)
    key: str | None = None
    key_line: int = 0
    is_merge: bool = False


class _Builder:
    """Takes events, keeps the open collections on a stack of its own."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}  # with the number of nodes below
        self._open_anchors: set[str] = set()
        self._documents = 0
        self._nodes = 0

    def feed(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _Unusable(line, "", "a second YAML document starts here", "keep one; remove the line ---")
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event, line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._start(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.is_mapping and top.key is None:
            top.key, top.key_line = event.value, line
            top.is_merge = event.value == "<<" and event.implicit[0]
            return
        line, path = self._place(line)
        node = Node(self._constructed(event, line, path), line, path)
        self._count(1, line)
        self._add(node)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, 1)

    def _constructed(self, event: yaml.ScalarEvent, line: int, path: str) -> Scalar:
        if event.tag in (None, "!"):
            tag = str(Resolver().resolve(yaml.ScalarNode, event.value, event.implicit))  # type: ignore[no-untyped-call]
        else:
            tag = event.tag
        kind = tag.removeprefix("tag:yaml.org,2002:")
        if kind in ("str", "timestamp", "value", "merge"):  # a date stays the text that was written
            return str(event.value)
        if kind not in _CONSTRUCT:
            self._problem(path, f"has the YAML tag {tag[:60]}", "remove the tag; only plain values are read", line)
            return str(event.value)
        try:
            return _CONSTRUCT[kind](SafeConstructor(), yaml.ScalarNode(tag, event.value))
        except (ValueError, KeyError, ConstructorError):  # `!!int x`, or more digits than Python reads
            return str(event.value)

    def _alias(self, event: yaml.AliasEvent, line: int) -> None:
        name = str(event.anchor)
        top = self._stack[-1] if self._stack else None
        if top is not None and top.is_mapping and top.key is None:
            raise _Unusable(
                line, top.path, f"the YAML alias *{name} stands where a key belongs", "write the key itself"
            )
        line, path = self._place(line)
        if name in self._open_anchors:
            raise _Unusable(line, path, f"the YAML alias *{name} contains itself", "write the value out")
        if name not in self._anchors:
            raise _Unusable(
                line,
                path,
                f"the YAML alias *{name} has no anchor &{name} above",
                f'put "*{name}" in quotes if it is a text',
            )
        node, size = self._anchors[name]
        self._count(size, line)
        self._add(_moved(node, path, line))

    def _start(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, line: int) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.is_mapping and top.key is None:
            raise _Unusable(
                line, top.path, "a mapping or list stands where a key belongs", "quote texts that start with { or ["
            )
        if len(self._stack) >= MAX_DEPTH:
            raise _Unusable(line, "", f"a value is nested deeper than {MAX_DEPTH} levels", "write it flatter")
        line, path = self._place(line)
        self._count(1, line)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self._problem(
                path, f"has the YAML tag {event.tag[:60]}", "remove the tag; only plain values are read", line
            )
        if event.anchor is not None:
            self._open_anchors.add(event.anchor)
        self._stack.append(_Open(line, path, event.anchor, is_mapping, self._nodes))

    def _end(self) -> None:
        done = self._stack.pop()
        for mapping in done.merged:
            for key, entry in mapping.entries.items():
                done.entries.setdefault(key, _moved(entry, join(done.path, key), entry.line))
        node = Node(done.entries if done.is_mapping else tuple(done.items), done.line, done.path)
        if done.anchor is not None:
            self._open_anchors.discard(done.anchor)
            self._anchors[done.anchor] = (node, self._nodes - done.size_before + 1)
        self._add(node)

    def _place(self, line: int) -> tuple[int, str]:
        """Line and path of the value that starts now."""
        if not self._stack:
            return line, ""
        top = self._stack[-1]
        if top.is_mapping:
            assert top.key is not None
            return top.key_line, join(top.path, top.key)
        return line, join(top.path, len(top.items))

    def _add(self, node: Node) -> None:
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        if not top.is_mapping:
            top.items.append(node)
            return
        assert top.key is not None
        if top.is_merge:
            top.merged += node.items or (node,)
        elif top.key in top.entries:
            first = top.entries[top.key].line
            self._problem(node.path, f"is already set in line {first}", "keep one of the two", node.line)
        else:
            top.entries[top.key] = node
        top.key, top.is_merge = None, False

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _Unusable(
                line,
                "",
                f"the file has more than {MAX_NODES} values once its YAML aliases are followed",
                "use fewer of them",
            )

    def _problem(self, path: str, what: str, todo: str, line: int) -> None:
        self.problems.append(Problem(path, what, todo, line))


_CONSTRUCT = {
    "null": SafeConstructor.construct_yaml_null,
    "bool": SafeConstructor.construct_yaml_bool,
    "int": SafeConstructor.construct_yaml_int,
    "float": SafeConstructor.construct_yaml_float,
}


def _moved(node: Node, path: str, line: int) -> Node:
    """A copy under another path. The line is the copy's own; what is below keeps the lines where it was written."""
    value = node.value
    if isinstance(value, tuple):
        value = tuple(_moved(item, join(path, index), item.line) for index, item in enumerate(value))
    elif isinstance(value, Mapping):
        value = {key: _moved(entry, join(path, key), entry.line) for key, entry in value.items()}
    return Node(value, line, path)


# What libyaml and PyYAML say, and what it means to somebody who wrote the file. `start` points at the line where the
# broken thing begins, not where the parser noticed.
@dataclass(frozen=True, slots=True)
class _Syntax:
    says: str
    what: str
    todo: str
    start: bool = False


_SYNTAX = (
    _Syntax(r"found character '\\t'|found a tab|tab character", "a tab is used for indentation", "use spaces"),
    _Syntax(
        r"mapping values are not allowed",
        "a second `key: value` stands in one line, or the line is indented too far",
        "put a text with `: ` in quotes, or align the line with its neighbours",
    ),
    _Syntax(
        r"scanning a quoted scalar",
        "a quoted text starts here and is never closed",
        "add the closing quote",
        start=True,
    ),
    _Syntax(
        r"flow sequence", "a list opened with [ is not closed, or a comma is missing", "add ] or a comma", start=True
    ),
    _Syntax(
        r"flow mapping",
        "a mapping opened with { is not closed, or a comma is missing",
        "add } or a comma, and put ${NAME} in quotes",
        start=True,
    ),
    _Syntax(r"could not find expected ':'", "a key without its colon", "write `key: value`", start=True),
    _Syntax(r"unknown escape character", 'a \\ in a "…" text is not a YAML escape', "use '…' or write \\\\"),
    _Syntax(
        r"cannot start any token",
        "a value starts with a character that YAML reserves (@, ` or %)",
        "put the value in quotes",
    ),
    _Syntax(
        r"scanning an? (alias|anchor)",
        "a value starts with * or &, which YAML reads as an alias or anchor",
        "put the value in quotes",
    ),
    _Syntax(
        r"block (mapping|collection|sequence|end)",
        "the line does not fit the ones above: its indentation, or a quote inside a quoted text",
        "align the keys of one section; double a ' inside '…'",
    ),
    _Syntax(r"control characters|special characters|unacceptable", "a control character stands here", "remove it"),
)


def _syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    said = " ".join(str(error).split())
    rule = next((rule for rule in _SYNTAX if re.search(rule.says, said)), None)
    mark = getattr(error, "problem_mark", None)
    if mark is not None and re.match(r" *\t", _line(text, mark.line)):
        rule = _SYNTAX[0]  # the parser names a tab only in some places
    if rule is not None and rule.start:
        mark = getattr(error, "context_mark", None) or mark
    line = mark.line + 1 if mark is not None else _line_of_control_character(text)
    if rule is None:
        said = str(getattr(error, "problem", None) or "this is not YAML")
        return Problem("", f"not readable as YAML: {said}", "correct the line, or the one above it", line)
    return Problem("", f"not readable as YAML: {rule.what}", rule.todo, line)


def _line(text: str, index: int) -> str:
    lines = text.split("\n", index + 1)
    return lines[index] if index < len(lines) else ""


def _line_of_control_character(text: str) -> int:
    found = re.search(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text)
    return text.count("\n", 0, found.start()) + 1 if found else 0
