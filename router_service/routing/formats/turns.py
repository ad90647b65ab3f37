"""What the readers share: msgspec's errors as the client's, the text of a message's parts, a list of messages.

One typed pass: what is passed over is validated as JSON but never becomes Python objects.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TypeVar

import msgspec

from router_service.errors import InvalidRequest
from router_service.routing.conversation import Conversation, Role, Turn

ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}

ABSENT = msgspec.Raw()
_Value = TypeVar("_Value")


class Part(msgspec.Struct, gc=False):  # without cycles, and a body may hold a million of them
    type: str
    text: msgspec.Raw = ABSENT  # read only in parts that carry text; elsewhere it may be anything


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[Part] | None = None


_messages = msgspec.json.Decoder(list[_Message])
_text = msgspec.json.Decoder(str)


def read_messages(raw: bytes | msgspec.Raw, where: str) -> Conversation:
    """The turns of a list of messages, each a `role` and a `content`: text, null, or parts of which `text` is read."""
    messages = decode(_messages, raw, where)
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        role = ROLES.get(message.role)
        if role is None or message.content is None:
            continue
        text = text_of(message.content, f"{where}[{index}].content", ("text",))
        if text.strip():
            turns.append(Turn(role, text))
    return Conversation(tuple(turns))


def text_of(content: str | list[Part], where: str, types: Collection[str]) -> str:
    """The text of a message's content; of parts, those of these types, one a line."""
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for place, part in enumerate(content):
        if part.type not in types:
            continue
        at = f"{where}[{place}].text"
        if part.text is ABSENT:
            raise InvalidRequest(f"{at}: a part of type `{part.type}` needs it.", param=at)
        texts.append(decode(_text, part.text, at))
    return "\n".join(texts)


_PATH = re.compile(r" - at `\$(.*)`$")


def decode(decoder: msgspec.json.Decoder[_Value], raw: bytes | msgspec.Raw, param: str) -> _Value:
    """msgspec's errors as the client's: they name types and places, never the client's own text."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        text = str(error)
        at = _PATH.search(text)
        where = param + (at[1] if at else "")
        what = _PATH.sub("", text)
        raise InvalidRequest(f"{where}: {what[:1].lower()}{what[1:]}.", param=where) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidRequest(f"{param} is not valid JSON in UTF-8, or has a lone surrogate.", param=param) from None
    except RecursionError:
        raise InvalidRequest(f"{param} is nested too deeply.", param=param) from None
