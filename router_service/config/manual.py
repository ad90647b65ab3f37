"""The tables of docs/configuration.md, made from the models, the providers and the migration. `make docs` writes them.

    python -m router_service.config.manual docs/configuration.md

Owns the text between the page's markers (`<!-- made: keys -->` … `<!-- end -->`); the rest is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Annotated, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from router_service.config.models import Config, Section, one_or_several, reader
from router_service.config.not_served import NOT_SERVED
from router_service.config.providers import KNOWN, Auth, Provider
from router_service.config.units import format_duration, format_size, parse_duration_s, parse_size_bytes
from router_service.routing.api import Api

_MARKED = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def write_tables(page: str) -> str:
    """The page with the text between its markers made anew. Raises KeyError for a marker that names no table."""
    return _MARKED.sub(lambda marked: f"{marked[1]}\n{_TABLES[marked[2]]()}\n{marked[3]}", page)


def _keys() -> str:
    tables = []
    for path, section in _sections("", Config):
        rows = [
            (f"`{name}`", _kind(_below(path, name, field), field), _default(field), field.description or "")
            for name, field in section.model_fields.items()
        ]
        heading = f"### `{path}`" if path else "### The file"
        tables.append(f"{heading}\n\n{_table(('key', 'value', 'default', 'meaning'), rows)}")
    return "\n".join(tables)


def _sections(path: str, section: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    """Every section with its path: `listeners[]`, `model_aliases.NAME`, `router.embedded`."""
    yield path, section
    for name, field in section.model_fields.items():
        below = _section_of(field.annotation)
        if below is not None:
            yield from _sections(_below(path, name, field), below)


def _below(path: str, name: str, field: FieldInfo) -> str:
    origin = get_origin(field.annotation)
    suffix = "[]" if origin is list else ".NAME" if origin is dict else ""
    return f"{path}.{name}{suffix}".lstrip(".")


def _section_of(annotation: object) -> type[Section] | None:
    for inner in (annotation, *get_args(annotation)):
        if isinstance(inner, type) and issubclass(inner, Section):
            return inner
    return None


def _kind(path: str, field: FieldInfo) -> str:
    words = _words(field.annotation, reader(field))
    if _section_of(field.annotation) is not None:
        return f"[{words}](#{re.sub(r'[^a-z0-9_]', '', path.lower())})"
    low, high = _limit(field, "ge"), _limit(field, "le")
    if words not in ("whole number", "number"):
        return words
    if high is not None:
        return f"{words}, {low} to {high}"
    return f"{words}, at least {low}" if low is not None else words


def _limit(field: FieldInfo, name: str) -> object:
    return next((getattr(entry, name) for entry in field.metadata if hasattr(entry, name)), None)


def _words(annotation: object, read: object = None) -> str:
    """What to write for a value of that type."""
    if read is parse_duration_s:
        return "duration"
    if read is parse_size_bytes:
        return "size"
    if read is one_or_several:
        return "text or list of texts"
    if get_origin(annotation) is Annotated:
        return _words(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return ", ".join(f"`{choice}`" for choice in annotation)
    if get_origin(annotation) is list:
        words = _words(get_args(annotation)[0])
        return f"list of {_PLURALS.get(words, words)}"
    if get_origin(annotation) is dict:
        return f"{_PLURALS.get(_words(get_args(annotation)[1]), 'sections')} by name"
    optional = [inner for inner in get_args(annotation) if inner is not NoneType]
    if optional:
        return _words(optional[0])
    return _WORDS.get(annotation, "section")


_WORDS: Mapping[object, str] = MappingProxyType(
    {bool: "true or false", int: "whole number", float: "number", str: "text", SecretStr: "text"}
)
_PLURALS: Mapping[str, str] = MappingProxyType(
    {"section": "sections", "text": "texts", "number": "numbers", "whole number": "whole numbers"}
)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ([], {}) or isinstance(value, Section) or _section_of(field.annotation):
        return ""
    read = reader(field)
    if read is parse_duration_s:
        return f"`{format_duration(value)}`"
    if read is parse_size_bytes:
        return f"`{format_size(value)}`"
    if isinstance(value, list):
        return f"`[{', '.join(value)}]`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _providers() -> str:
    rows = [
        (f"`{row.name}`", row.host or "your `base_url`", f"`{row.prefix}`", _more_apis(row), _auth(row), _variable(row))
        for row in KNOWN.values()
    ]
    rows.append(("any other", "your `base_url`", "`/v1`", "", _AUTH[Auth.BEARER], ""))
    return _table(("provider", "address", "API prefix", "takes as well", "key goes into", "usual variable"), rows)


def _more_apis(row: Provider) -> str:
    return ", ".join(f"`{api}`" for api in Api if api in row.more_apis)


def _auth(row: Provider) -> str:
    on_messages = f"; {_AUTH[row.messages_auth]} on `{Api.MESSAGES.path}`" if row.messages_auth else ""
    return _AUTH[row.auth] + on_messages + (f"; query `{row.query}`" if row.query else "")


def _variable(row: Provider) -> str:
    return f"`{row.key_variable}`" if row.key_variable else ""


_AUTH: Mapping[Auth, str] = MappingProxyType(
    {Auth.BEARER: "`authorization: Bearer`", Auth.API_KEY: "`api-key`", Auth.X_API_KEY: "`x-api-key`"}
)


def _not_served() -> str:
    rows = [
        (f"`{section}{'[]' if section in _LISTS else ''}.{key}`".replace("`.", "`"), happens)
        for section, keys in NOT_SERVED.items()
        for key, happens in keys.items()
    ]
    return _table(("key", "so"), rows)


_LISTS = ("listeners", "model_providers")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


_TABLES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {"keys": _keys, "providers": _providers, "not_served": _not_served}
)


def main(path: Path) -> None:
    path.write_text(write_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
