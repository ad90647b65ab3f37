"""The `messages` of an Anthropic Messages request, as a conversation.

Spec: https://docs.anthropic.com/en/api/messages. The system prompt stands beside the messages, in `system`, and is not
read. Of a message only `role` and `content` are looked at: content is a string, or a list of blocks of which only
`text` blocks are read. A `tool_result` is in a user message, but no user wrote it: it is passed over with its text, as
are tool use, thinking, images, documents and blocks of types yet unknown.
"""

from __future__ import annotations

import msgspec

from router_service.routing.conversation import Conversation
from router_service.routing.formats.turns import read_messages


def read_anthropic_messages(raw: bytes | msgspec.Raw) -> Conversation:
    """The conversation in the JSON of `messages`. Raises InvalidRequest with a `param` like `messages[3].content`."""
    return read_messages(raw, "messages")
