"""From a positioned tree to a `Config`, with pydantic's findings said in our own words.

Owns the sentences. A file with mistakes still yields a `Config` where that is possible: the mistaken values are left
out, so that the checks between sections can report on the rest in the same run. Values under `access_key` and
`headers` are never shown.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from router_service.config.document import Node
from router_service.config.models import Config, reader
from router_service.config.report import Location, Report, find
from router_service.config.units import format_duration, format_size, parse_duration_s, parse_size_bytes

_SECRET_KEYS = frozenset({"access_key", "headers"})


@dataclass(frozen=True, slots=True)
class Validated:
    """`config` is None if too little of the file is right. `root` is the file less what was wrong in it.

    `left_out` are the paths of what is not in it.
    `models_known` is False if a whole entry of `model_providers` is not in `config`: then a name that is not found
    there may well be right.
    """

    config: Config | None
    root: Node
    left_out: frozenset[str]
    models_known: bool


def validate(root: Node, report: Report) -> Validated:
    """Validates against the models, reporting every mistake."""
    tree: Node | None = root
    left_out: set[str] = set()
    while tree is not None:
        try:
            config = Config.model_validate(tree.plain())
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            if tree is root:
                for detail in details:
                    _explain(detail, root, report)
            culprits = {_culprit(detail) for detail in details}
            left_out |= {Report(tree).where(culprit)[1] for culprit in culprits}
            tree = _without(tree, culprits)
        else:
            return Validated(config, tree, frozenset(left_out), _entries(tree) == _entries(root))
    return Validated(None, root, frozenset(left_out), models_known=False)


def _entries(root: Node) -> int:
    providers = find(root, ("model_providers",))
    return len(providers.items) if providers is not None else 0


def _culprit(detail: ErrorDetails) -> Location:
    """What to leave out: the mistaken value, or the section that lacks one."""
    return detail["loc"][:-1] if detail["type"] == "missing" else detail["loc"]


def _without(node: Node, locations: set[Location]) -> Node | None:
    """The tree less the values at the locations, or less the value above where the file has none there."""
    if not locations:
        return node
    children: dict[str | int, Node] = {**dict(node.entries.items()), **dict(enumerate(node.items))}
    if any(not location or location[0] not in children for location in locations):
        return None
    below: dict[str | int, set[Location]] = {}
    for location in locations:
        below.setdefault(location[0], set()).add(location[1:])
    left = {key: _without(child, below.get(key, set())) for key, child in children.items()}
    if isinstance(node.value, Mapping):
        return replace(node, value={str(key): child for key, child in left.items() if child is not None})
    return replace(node, value=tuple(child for child in left.values() if child is not None))


Sentence = Callable[[ErrorDetails, str], tuple[str, str]]  # of a finding and `is VALUE`: what is wrong, what to do


def _explain(detail: ErrorDetails, root: Node, report: Report) -> None:
    location = detail["loc"]
    kind = detail["type"]
    if kind == "extra_forbidden":
        report.error(location, *_unknown_key(location))
        return
    if kind == "missing":
        report.error(location, "is missing", f"add it: {_meaning(location)}")
        return
    said = "is not usable" if _SECRET_KEYS & set(location) else f"is {_shown(find(root, location))}"
    sentence = _SENTENCES.get(kind)
    report.error(location, *(sentence(detail, said) if sentence else (said, f"correct it: {detail['msg']}")))


def _unknown_key(location: Location) -> tuple[str, str]:
    known = sorted(_fields(location[:-1]))
    key = str(location[-1])
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1, cutoff=0.6)
    if near:
        return "is not a known key", f"did you mean {near[0]}?"
    return "is not a known key", f"remove it; known here: {', '.join(known)}"


def _meaning(location: Location) -> str:
    field = _fields(location[:-1]).get(str(location[-1]))
    description = field.description if field is not None and field.description else "it is required"
    return description[0].lower() + description[1:].rstrip(".") if description[0] != "`" else description.rstrip(".")


def _fields(location: Location) -> Mapping[str, FieldInfo]:
    """The keys of the section at a location; none if it is not a section."""
    annotation: object = Config
    for step in location:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(step))
            annotation = field.annotation if field is not None else None
        elif get_origin(annotation) in (list, dict):
            annotation = get_args(annotation)[-1]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields
    return {}


def _shown(node: Node | None) -> str:
    """A value as an error may show it: short, and its kind rather than its contents where it has some."""
    if node is None or node.value is None:
        return "nothing"
    if isinstance(node.value, Mapping):
        return "a section with keys"
    if isinstance(node.value, tuple):
        return "a list"
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    if isinstance(node.value, str):
        text = node.value if len(node.value) <= 60 else f"{node.value[:60]}…"
        return f'"{text}"'
    return str(node.value)[:60]


def _write(todo: str) -> Sentence:
    return lambda _, said: (said, f"write {todo}")


def _write_instead_of_a_text(todo: str) -> Sentence:
    return lambda _, said: ("is a text" if '"' in said else said, f"write {todo}")  # which may be a key, misplaced


def _bound(words: str, key: str) -> Sentence:
    return lambda detail, said: (said, f"write {words} {_written(detail['loc'], detail['ctx'][key])}")


def _written(location: Location, value: float) -> str:
    """A number as the file would have it at that place: `365d`, `1GiB`."""
    field = _fields(location[:-1]).get(str(location[-1]))
    read = reader(field) if field is not None else None
    if read is parse_duration_s:
        return format_duration(value)
    return format_size(int(value)) if read is parse_size_bytes else f"{value:g}"


def _choice(detail: ErrorDetails, said: str) -> tuple[str, str]:
    expected = detail["ctx"]["expected"].replace("'", "")
    choices = expected.replace(" or ", ", ").split(", ")
    near = difflib.get_close_matches(said.partition('"')[2].rstrip('"').lower(), choices, n=1)
    return said, f"did you mean {near[0]}?" if near else f"write {expected}"


def _quantity(detail: ErrorDetails, said: str) -> tuple[str, str]:
    wrong, _, todo = str(detail["ctx"]["error"]).partition("; ")
    return f"{said.removeprefix('is ')} {wrong}", todo


_WHOLE_NUMBER = _write("a whole number")
_NUMBER = _write("a number")
_YES_NO = _write("true or false")
_SECTION = _write_instead_of_a_text("a section: its keys on the lines below, indented")
_LIST = _write_instead_of_a_text("a list: its entries on the lines below, each after a dash")
_TEXT = _write("a text, in quotes if it looks like something else")

_SENTENCES: Mapping[str, Sentence] = MappingProxyType(
    {
        "bool_parsing": _YES_NO,
        "bool_type": _YES_NO,
        "dict_type": _SECTION,
        "enum": _choice,
        "finite_number": _NUMBER,
        "float_parsing": _NUMBER,
        "float_type": _NUMBER,
        "greater_than": _bound("more than", "gt"),
        "greater_than_equal": _bound("at least", "ge"),
        "int_from_float": _WHOLE_NUMBER,
        "int_parsing": _WHOLE_NUMBER,
        "int_parsing_size": _WHOLE_NUMBER,
        "int_type": _WHOLE_NUMBER,
        "less_than_equal": _bound("at most", "le"),
        "list_type": _LIST,
        "literal_error": _choice,
        "model_attributes_type": _SECTION,
        "model_type": _SECTION,
        "string_too_short": lambda _detail, _said: ("is empty", "write a text"),
        "string_type": _TEXT,
        "too_short": lambda _detail, _said: ("is empty", "write at least one entry"),
        "value_error": _quantity,
    }
)
