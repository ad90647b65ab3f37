"""The `messages` of an OpenAI Chat Completions request, as a conversation.

Spec: https://platform.openai.com/docs/api-reference/chat/create. Of a message only `role` and `content` are looked at:
content is a string, null, or a list of parts of which only `text` parts are read. Refusals, images, audio, files, tool
calls, other roles and parts of types yet unknown carry nothing to classify and are passed over, never refused.

One typed pass: what is passed over is validated as JSON but never becomes Python objects.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from router_service.errors import InvalidRequest
from router_service.routing.conversation import Conversation, Role, Turn

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}


_ABSENT = msgspec.Raw()
_Value = TypeVar("_Value")


class _Part(msgspec.Struct, gc=False):
    type: str
    text: msgspec.Raw = _ABSENT  # read only in parts of type `text`; elsewhere it may be anything


class _Message(msgspec.Struct, gc=False):  # without cycles, and a body may hold a million of them
    role: str
    content: str | list[_Part] | None = None


_messages = msgspec.json.Decoder(list[_Message])
_text = msgspec.json.Decoder(str)


def read_chat_messages(raw: bytes | msgspec.Raw) -> Conversation:
    """The conversation in the JSON of `messages`. Raises InvalidRequest with a `param` like `messages[3].content`."""
    messages = _decode(_messages, raw, "messages")
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        role = _ROLES.get(message.role)
        if role is None or message.content is None:
            continue
        text = message.content if isinstance(message.content, str) else _join(message.content, index)
        if text.strip():
            turns.append(Turn(role, text))
    return Conversation(tuple(turns))


def _join(parts: list[_Part], index: int) -> str:
    texts: list[str] = []
    for place, part in enumerate(parts):
        if part.type != "text":
            continue
        where = f"messages[{index}].content[{place}].text"
        if part.text is _ABSENT:
            raise InvalidRequest(f"{where}: a part of type `text` needs it.", param=where)
        texts.append(_decode(_text, part.text, where))
    return "\n".join(texts)


_PATH = re.compile(r" - at `\$(.*)`$")


def _decode(decoder: msgspec.json.Decoder[_Value], raw: bytes | msgspec.Raw, param: str) -> _Value:
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
