"""What a routing model's answer means: strictly read, with one outcome for each way it can be wrong.

The format is `{"route": "<name>"}`, or `{"route": "other"}` when nothing fits. Arch-Router often writes
`{'route': 'name'}` when its decoding is free, and general models wrap the object in a code block or a list of one:
these are accepted, nothing else is. Quotes are never replaced to repair JSON, because a route may be called
`what's new`.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from router_service.routing.decision import Reason

OTHER = "other"

_FENCED = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
_QUOTED = re.compile(r"""\{\s*(['"])route\1\s*:\s*(['"])(.*)\2\s*(?:,\s*)?\}""", re.DOTALL)
_NOTHING = re.compile(r"""\{\s*(['"])route\1\s*:\s*None\s*\}""")
_SEPARATORS = re.compile(r"[\s_\-./]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """`reason` is MATCHED with a `route`, or NO_ROUTE, UNKNOWN_ROUTE or MALFORMED without one."""

    reason: Reason
    route: str | None = None


_NO_ROUTE = Answer(Reason.NO_ROUTE)
_MALFORMED = Answer(Reason.MALFORMED)


def parse_answer(text: str, names: Collection[str]) -> Answer:
    """Which of the preferences' `names` the model's whole answer names."""
    text = text.strip()
    fenced: list[str] = _FENCED.findall(text)
    if len(fenced) == 1:
        text = fenced[0].strip()
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return _parse_python_like(text, names)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    match value:
        case {"route": None | ""}:
            return _NO_ROUTE
        case {"route": str(name)}:
            return match_name(name, names)
        case _:
            return _MALFORMED


def match_name(name: str, names: Collection[str]) -> Answer:
    """The preference that `name` means: exactly, or without regard to case and separators if only one is left then.

    A preference that is itself called `other` is matched before the model's word for none.
    """
    if name in names:
        return Answer(Reason.MATCHED, name)
    folded = _fold(name)
    alike = [candidate for candidate in (*names, OTHER) if _fold(candidate) == folded]
    match alike:
        case [only] if only == OTHER:
            return _NO_ROUTE
        case [only]:
            return Answer(Reason.MATCHED, only)
        case _:
            return Answer(Reason.UNKNOWN_ROUTE)


def _parse_python_like(text: str, names: Collection[str]) -> Answer:
    """`{'route': 'name'}` in either quotes; what stands between them is the name, quotes and all."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    if _NOTHING.fullmatch(text):
        return _NO_ROUTE
    quoted = _QUOTED.fullmatch(text)
    if quoted is None:
        return _MALFORMED
    quote, name = quoted[2], quoted[3]
    if not name:
        return _NO_ROUTE
    answer = match_name(name, names)
    if answer.reason is Reason.UNKNOWN_ROUTE:  # a quote inside may be escaped, as Python and JavaScript write it
        answer = match_name(name.replace(f"\\{quote}", quote), names)
    return answer


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object if it says each thing once; two `route` members are two answers, so none."""
    members = dict(pairs)
    return members if len(members) == len(pairs) else {}


def _fold(name: str) -> str:
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", name)).casefold()
