"""The request body as bytes with a map: where the top-level `model` stands, and the other members unread.

A router that parses and prints JSON again changes what it should only carry: big integers, key order, escapes, spaces.
So the body is decoded one level deep, each member left as the bytes it came in (`msgspec.Raw`), and the edit replaces
the span of one value. JSON is RFC 8259; where it leaves a choice (duplicate names) we refuse, because router and
provider could choose differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from router_service.errors import InvalidRequest

# A chat request has about thirty members; walking over a million would hold up everybody else.
MAX_MEMBERS = 1000

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_optional_text = msgspec.json.Decoder(str | None).decode
_OPEN = re.compile(rb"[ \t\n\r]*\{[ \t\n\r]*")
_NAME = re.compile(rb'("(?:[^"\\]|\\.)*+")[ \t\n\r]*:[ \t\n\r]*')
_AFTER_VALUE = re.compile(rb"[ \t\n\r]*(?:,[ \t\n\r]*|\})")


@dataclass(frozen=True, slots=True)
class RequestBody:
    """A JSON object as received.

    `members` has the raw bytes of each top-level value. `model` is the string of that name, None when it is missing or
    null; `model_span` is where its value stands (start, end), or an empty span after the opening brace.
    """

    raw: bytes
    members: Mapping[str, msgspec.Raw]
    model: str | None
    model_span: tuple[int, int]

    def with_model(self, model_id: str) -> bytes:
        """The same bytes with `model` set to `model_id`."""
        start, end = self.model_span
        value = msgspec.json.encode(model_id)
        if "model" not in self.members:
            value = b'"model":' + value + (b"," if self.members else b"")
        return b"".join((self.raw[:start], value, self.raw[end:]))


def read_body(raw: bytes) -> RequestBody:
    """The body of a request. Raises InvalidRequest when it is not one JSON object in UTF-8."""
    if not raw:
        raise InvalidRequest("The request has no body; send a JSON object.")
    try:
        raw.decode()
        members = _decode_members(raw)
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8 (byte {error.start}).") from error
    except RecursionError as error:
        raise InvalidRequest("The body is nested too deeply.") from error
    except msgspec.ValidationError as error:
        raise InvalidRequest("The body must be a JSON object.") from error
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {_sentence(error)}") from error
    if len(members) > MAX_MEMBERS:
        raise InvalidRequest(f"The body has {len(members)} top-level fields; at most {MAX_MEMBERS} are accepted.")
    opening = _OPEN.match(raw)
    assert opening is not None
    spans = _member_spans(raw, opening.end(), members)
    return RequestBody(raw, members, _read_model(members), spans.get("model", (opening.end(), opening.end())))


def _member_spans(raw: bytes, position: int, members: Mapping[str, msgspec.Raw]) -> dict[str, tuple[int, int]]:
    """Where each member's value stands. Raises InvalidRequest for a repeated name.

    Walks the object by the lengths of the values that msgspec found; of a repeated name it found the last, so the first
    shows in a value that does not stand, or does not end, where it should.
    """
    spans: dict[str, tuple[int, int]] = {}
    while name := _NAME.match(raw, position):
        key = _decode_text(name[1])
        value = bytes(members[key])
        start, end = name.end(), name.end() + len(value)
        after = _AFTER_VALUE.match(raw, end)
        if key in spans or raw[start:end] != value or after is None:
            raise InvalidRequest(f"The field '{key[:100]}' occurs more than once.", param=key[:100])
        spans[key] = (start, end)
        position = after.end()
    return spans


def _read_model(members: Mapping[str, msgspec.Raw]) -> str | None:
    if "model" not in members:
        return None
    try:
        model: str | None = _decode_optional_text(members["model"])
    except msgspec.DecodeError as error:
        raise InvalidRequest("'model' must be a string.", param="model") from error
    return model


def _sentence(error: msgspec.DecodeError) -> str:
    """msgspec's words with a full stop; they name a byte, never content."""
    return str(error).removeprefix("JSON is malformed: ").rstrip(".") + "."
