"""The file of labelled cases: one JSON object a line (JSONL, https://jsonlines.org).

    {"id": "debugging-en-01", "messages": [{"role": "user", "content": "why does …"}], "expected": "debugging"}

`expected` is a preference's name; "other" where no preference fits or the request is already fulfilled; null, or left
out, where nobody has labelled the case: it is classified, counted and timed, but not judged. `messages` is a chat
request's, up to and including the turn in question. Cases with the same `conversation` are the turns of one
conversation, in file order. `id` may be missing: the line number then stands for it. Unknown fields are ignored.

Reads all of the file and reports everything wrong with it at once, each with its line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from router_service.errors import ConfigError, InvalidRequest, Problem
from router_service.routing.conversation import Conversation
from router_service.routing.formats.chat import read_chat_messages

OTHER = "other"  # Arch-Router's word for "no route"; a preference cannot have this name
MAX_PROBLEMS = 20  # shown at once; a file of the wrong format would print a line per line


@dataclass(frozen=True, slots=True)
class Case:
    """One turn of a user and what it should be answered with. `expected` is None when nobody labelled it."""

    id: str
    turns: Conversation
    expected: str | None
    conversation: str | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    members: dict[str, msgspec.Raw]


def read_cases(path: Path, routes: Sequence[str], label: str = "expected") -> tuple[Case, ...]:
    """The cases of a file, their labels taken from the field `label`. Raises ConfigError with every problem."""
    problems: list[Problem] = []
    lines = list(_lines(path, problems))
    if not lines and not problems:
        problems.append(Problem("", "holds no case", "write one JSON object a line, as docs/evaluation.md shows"))
    if lines and not any(label in line.members for line in lines):
        fields = ", ".join(dict.fromkeys(name for line in lines for name in line.members))
        problems.append(
            Problem("", f"no case has the field '{label}'", f"name the label with --label; there are: {fields}")
        )
    read = [_case(line, label) for line in lines]
    cases = [each for each in read if isinstance(each, Case)]
    problems += [each for each in read if isinstance(each, Problem)]
    if not problems:
        problems += _unknown_labels(cases, [line.number for line in lines], routes, label)
    if problems:
        shown = problems[:MAX_PROBLEMS]
        if len(problems) > MAX_PROBLEMS:
            shown.append(Problem("", f"{len(problems) - MAX_PROBLEMS} more problems", "correct these first"))
        raise ConfigError(str(path), shown)
    return tuple(cases)


def _lines(path: Path, problems: list[Problem]) -> Iterator[_Line]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        problems.append(
            Problem("", f"cannot be read: {error.strerror}", "name a file of cases, one JSON object a line")
        )
        return
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            yield _Line(number, msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
        except msgspec.ValidationError:
            todo = "write one JSON object a line; `jq -c '.[]'` turns a list into lines"
            problems.append(Problem("", "is not a JSON object", todo, line=number))
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            problems.append(Problem("", f"is not JSON: {error}", "write one JSON object on one line", line=number))


def _case(line: _Line, label: str) -> Case | Problem:
    """The case of a line, or what is wrong with it."""
    messages = line.members.get("messages")
    if messages is None:
        todo = 'write "messages": [{"role": "user", "content": "…"}]'
        return Problem("messages", "is missing", todo, line=line.number)
    try:
        turns = read_chat_messages(messages)
    except InvalidRequest as error:
        where = error.param or "messages"
        what = error.message.removeprefix(f"{where}: ").rstrip(".")
        return Problem(where, what, "see docs/evaluation.md", line=line.number)
    names: dict[str, str | None] = {}
    for field, kinds in (("id", str | int | None), ("conversation", str | int | None), (label, str | None)):
        try:
            name: str | int | None = msgspec.json.decode(line.members.get(field, b"null"), type=kinds)
        except (msgspec.DecodeError, RecursionError):
            return Problem(field, "is not a name", "write text in quotes, or null", line=line.number)
        names[field] = None if name is None else str(name)
    return Case(
        id=names["id"] or str(line.number),
        turns=turns,
        expected=names[label],
        conversation=names["conversation"],
    )


def _unknown_labels(cases: Sequence[Case], numbers: Sequence[int], routes: Sequence[str], label: str) -> list[Problem]:
    """One problem per label that is neither a route nor "other", at its first line."""
    known = {*routes, OTHER}
    lines: dict[str, list[int]] = {}
    for case, number in zip(cases, numbers, strict=True):
        if case.expected is not None and case.expected not in known:
            lines.setdefault(case.expected, []).append(number)
    problems = []
    for name, found in lines.items():
        near = difflib.get_close_matches(name, routes, n=1)
        todo = f"did you mean '{near[0]}'?" if near else f"the routes are: {', '.join(routes)}; or {OTHER}"
        cases_text = "1 case" if len(found) == 1 else f"{len(found)} cases"
        problems.append(Problem(label, f"'{name}' ({cases_text}) is not a route", todo, line=found[0]))
    return problems
