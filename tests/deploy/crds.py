"""Custom resources against crds.yaml: an unknown field, a missing one or a wrong type is a problem."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml

from tests.deploy.overlays import Resource

_SCALARS = {
    "string": str,
    "integer": int,
    "boolean": bool,
}
_PATTERNS = {
    "duration": re.compile(r"(\d+(\.\d+)?(h|m|s|ms))+"),
    "quantity": re.compile(r"\d+(Ki|Mi|Gi)?"),
}


@cache
def _shapes() -> Mapping[str, object]:
    shapes: Mapping[str, object] = yaml.safe_load(Path(__file__).with_name("crds.yaml").read_text())
    return shapes


def _key(resource: Resource) -> str:
    return f"{resource['apiVersion']} {resource['kind']}"


def knows(resource: Resource) -> bool:
    return _key(resource) in _shapes()


def problems(resource: Resource) -> list[str]:
    """What is wrong with `spec`, each with its path; KeyError for a kind that crds.yaml does not have."""
    return list(_check(resource["spec"], _shapes()[_key(resource)], "spec"))


def _check(value: object, shape: object, path: str) -> Iterator[str]:
    match shape:
        case dict():
            yield from _check_mapping(value, shape, path)
        case [item] if isinstance(value, list):
            for position, entry in enumerate(value):
                yield from _check(entry, item, f"{path}[{position}]")
        case [_]:
            yield f"{path}: not a list"
        case str():
            if not _is(value, shape):
                yield f"{path}: {value!r} is not {shape}"
        case _:
            raise AssertionError(f"{path}: crds.yaml has {shape!r}")


def _is(value: object, shape: str) -> bool:
    if shape == "any":
        return True
    if shape == "labels":
        return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    if shape in _SCALARS:
        return type(value) is _SCALARS[shape]
    if shape in _PATTERNS:
        return isinstance(value, str) and _PATTERNS[shape].fullmatch(value) is not None
    return value in shape.split("|")


def _check_mapping(value: object, shape: Mapping[str, object], path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: not a mapping"
        return
    fields = {field.removesuffix("!"): entry for field, entry in shape.items()}
    for field in value:
        if field not in fields:
            yield f"{path}.{field}: unknown"
        else:
            yield from _check(value[field], fields[field], f"{path}.{field}")
    for field in shape:
        if field.endswith("!") and field[:-1] not in value:
            yield f"{path}.{field[:-1]}: missing"
