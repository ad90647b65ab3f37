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
from router_service.config.models import Config
from router_service.config.report import Location, Report, find

_SECRET_KEYS = frozenset({"access_key", "headers"})


@dataclass(frozen=True, slots=True)
class Validated:
    """`config` is None if too little of the file is right. `root` is the file less what was wrong in it.

    `models_known` is False if a whole entry of `model_providers` is not in `config`: then a name that is not found
    there may well be right.
    """

    config: Config | None
    root: Node
    models_known: bool


def validate(root: Node, report: Report) -> Validated:
    """Validates against the models, reporting every mistake."""
    tree: Node | None = root
    first = True
    while tree is not None:
        try:
            config = Config.model_validate(tree.plain())
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            if first:
                for detail in details:
                    _explain(detail, root, report)
            first = False
            tree = _without(tree, {_culprit(detail) for detail in details})
        else:
            return Validated(config, tree, _entries(tree) == _entries(root))
    return Validated(None, root, models_known=False)


def _entries(root: Node) -> int:
    providers = find(root, ("model_providers",))
    return len(providers.items) if providers is not None else 0


def _culprit(detail: ErrorDetails) -> Location:
    """What to leave out: the mistaken value, or the section that lacks one."""
    return detail["loc"][:-1] if detail["type"] == "missing" else detail["loc"]


def _without(node: Node, locations: set[Location]) -> Node | None:
    """The tree less the values at the locations."""
    if () in locations:
        return None
    below: dict[str | int, set[Location]] = {}
    for location in locations:
        below.setdefault(location[0], set()).add(location[1:])
    if isinstance(node.value, Mapping):
        entries = {key: _without(entry, below.get(key, set())) for key, entry in node.value.items()}
        return replace(node, value={key: entry for key, entry in entries.items() if entry is not None})
    if isinstance(node.value, tuple):
        items = [_without(item, below.get(index, set())) for index, item in enumerate(node.value)]
        return replace(node, value=tuple(item for item in items if item is not None))
    return node


Sentence = Callable[[ErrorDetails, str], tuple[str, str]]


def _explain(detail: ErrorDetails, root: Node, report: Report) -> None:
    location = detail["loc"]
    kind = detail["type"]
    if kind == "extra_forbidden":
        report.error(location, *_unknown_key(location))
        return
    if kind == "missing":
        report.error(location, "is missing", f"add it: {_meaning(location)}")
        return
    node = find(root, location)
    shown = "this value" if _SECRET_KEYS & set(location) else _shown(node)
    sentence = _SENTENCES.get(kind)
    report.error(
        location, *(sentence(detail, shown) if sentence else (f"is not usable: {detail['msg']}", "correct it"))
    )


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
        return f'"{text}"'.replace("\n", " ")
    return str(node.value)[:60]


def _must_be(expected: str, todo: str) -> Sentence:
    return lambda _, shown: (f"must be {expected}, not {shown}", todo)


def _bound(words: str, key: str) -> Sentence:
    return lambda detail, shown: (
        f"must be {words} {detail['ctx'][key]}, not {shown}",
        f"write a value that is {words} {detail['ctx'][key]}",
    )


def _choice(detail: ErrorDetails, shown: str) -> tuple[str, str]:
    expected = detail["ctx"]["expected"].replace("'", "")
    choices = expected.replace(" or ", ", ").split(", ")
    near = difflib.get_close_matches(shown.strip('"').lower(), choices, n=1)
    return f"must be {expected}, not {shown}", f"did you mean {near[0]}?" if near else f"write {expected}"


def _quantity(detail: ErrorDetails, shown: str) -> tuple[str, str]:
    return f"is {shown}, which has no meaning here", str(detail["ctx"]["error"])


_WHOLE_NUMBER = _must_be("a whole number", "write digits only")
_NUMBER = _must_be("a number", "write a number")
_YES_NO = _must_be("true or false", "write true or false")
_TEXT = _must_be("a text", "write a text, in quotes if it looks like something else")
_SECTION = _must_be("a section with keys", "write its keys on the lines below, indented")
_LIST = _must_be("a list", "write its entries on the lines below, each after a dash")
_EMPTY: Sentence = lambda _detail, _shown: ("is empty", "write at least one entry")  # noqa: E731

_SENTENCES: Mapping[str, Sentence] = MappingProxyType(
    {
        "bool_parsing": _YES_NO,
        "bool_type": _YES_NO,
        "dict_type": _SECTION,
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
        "string_too_short": lambda _detail, _shown: ("is empty", "write a text"),
        "string_type": _TEXT,
        "too_short": _EMPTY,
        "value_error": _quantity,
    }
)
