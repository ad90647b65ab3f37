"""Envoy messages as JSON (proto3's mapping, field names as in the .proto), fast.

betterproto2 can do it itself, but builds a validator and resolves type hints for every message it visits, and an `Any`
is serialised, parsed and visited again at each level: fifty times as long, half a minute for 200 models. Messages are
validated when they are constructed, so nothing is lost. A test holds this against betterproto2's own output.

Mapping: https://protobuf.dev/programming-guides/json/
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from functools import cache

from betterproto2 import Enum, Message
from envoy_data_plane.google.protobuf import Any, Struct, Value
from envoy_data_plane.message_pool import default_message_pool

_INT64 = frozenset({"int64", "uint64", "sint64", "fixed64", "sfixed64"})  # JSON has no number for them

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Packed(Any):
    """An `Any` that keeps its message."""

    def __init__(self, message: Message) -> None:
        super().__init__(type_url=default_message_pool.type_to_url[type(message)])
        self.message = message


def to_json(message: Message) -> dict[str, Json]:
    """The JSON object of a message made of scalars, enums, durations, messages and `Packed`."""
    match message:
        case Packed():
            return {"@type": message.type_url, **to_json(message.message)}
        case Any():
            raise TypeError("wrap the message in Packed")
        case Struct():
            return {key: _value(value) for key, value in message.fields.items()}
    found: dict[str, Json] = {}
    for name, has_presence, is_64_bit in _fields(type(message)):
        value = getattr(message, name)
        if value if not has_presence else value is not None:  # without presence, the default is the same as absence
            found[name.rstrip("_")] = str(value) if is_64_bit else _json(value)
    return found


@cache
def _fields(kind: type[Message]) -> tuple[tuple[str, bool, bool], ...]:
    """The fields of a message class; whether each tells "not set" from its default; whether it is a 64-bit integer."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]  # each is a pydantic dataclass
    described = ((field.name, field.metadata["betterproto"]) for field in fields)
    return tuple((name, about.optional, about.proto_type in _INT64 and not about.repeated) for name, about in described)


def _json(value: object) -> Json:
    match value:
        case Value():
            return _value(value)
        case Message():
            return to_json(value)
        case Enum():
            return value.proto_name or value.name
        case timedelta():
            return f"{value.total_seconds():.6f}".removesuffix("000").removesuffix("000").rstrip(".") + "s"
        case list():
            return [_json(item) for item in value]
        case dict():
            return {str(key): _json(item) for key, item in value.items()}
        case bool() | int() | float() | str():
            return value
        case _:
            raise TypeError(f"no JSON form for {type(value).__name__}")


def _value(value: Value) -> Json:
    if value.struct_value is not None:
        return to_json(value.struct_value)
    if value.list_value is not None:
        return [_value(item) for item in value.list_value.values]
    scalars = (value.string_value, value.number_value, value.bool_value)
    return next((scalar for scalar in scalars if scalar is not None), None)
