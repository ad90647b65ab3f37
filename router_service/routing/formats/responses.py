"""The `input` of an OpenAI Responses request, as a conversation.

Spec: https://platform.openai.com/docs/api-reference/responses/create. The input is a text, which the user wrote, or a
list of items. Items of type `message` (or of none, which means the same) have a `role` and a `content`: a string, or
parts of which `input_text` and `output_text` are read. Everything else is passed over, never refused: `instructions`,
other roles, function calls and their outputs, reasoning, references, images, files and what is yet unknown. What an
earlier response said (`previous_response_id`, `conversation`) is not in the request.
"""

from __future__ import annotations

import msgspec

from router_service.errors import InvalidRequest
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.formats.turns import ABSENT, ROLES, Part, decode, text_of

_TEXT_PARTS = ("input_text", "output_text")


class _Item(msgspec.Struct, gc=False):
    type: str | None = None
    role: msgspec.Raw = ABSENT  # read only in messages; in other items they may be anything
    content: msgspec.Raw = ABSENT


_input = msgspec.json.Decoder(str | list[_Item] | None)
_role = msgspec.json.Decoder(str)
_content = msgspec.json.Decoder(str | list[Part] | None)


def read_input(raw: bytes | msgspec.Raw) -> Conversation:
    """The conversation in the JSON of `input`. Raises InvalidRequest with a `param` like `input[3].content`."""
    found = decode(_input, raw, "input")
    if found is None:
        return Conversation(())
    if isinstance(found, str):
        return Conversation((Turn("user", found),) if found.strip() else ())
    turns = (_turn(item, f"input[{index}]") for index, item in enumerate(found) if item.type in (None, "message"))
    return Conversation(tuple(turn for turn in turns if turn is not None))


def _turn(item: _Item, where: str) -> Turn | None:
    if item.role is ABSENT:
        if item.type is None:
            return None  # an item that names neither its type nor a role is not a message
        raise InvalidRequest(f"{where}: a message needs a `role`.", param=where)
    role = ROLES.get(decode(_role, item.role, f"{where}.role"))
    if role is None or item.content is ABSENT:
        return None
    at = f"{where}.content"
    content = decode(_content, item.content, at)
    text = text_of(content, at, _TEXT_PARTS) if content is not None else ""
    return Turn(role, text) if text.strip() else None
