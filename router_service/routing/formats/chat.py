"""The `messages` of an OpenAI Chat Completions request, as a conversation.

Spec: https://platform.openai.com/docs/api-reference/chat/create. Of a message only `role` and `content` are looked at:
content is a string, null, or a list of parts of which only `text` parts are read. Refusals, images, audio, files, tool
calls, other roles and parts of types yet unknown carry nothing to classify and are passed over, never refused.
"""

from __future__ import annotations

import msgspec

from router_service.routing.conversation import Conversation
from router_service.routing.formats.turns import read_messages


def read_chat_messages(raw: bytes | msgspec.Raw) -> Conversation:
    """The conversation in the JSON of `messages`. Raises InvalidRequest with a `param` like `messages[3].content`."""
    return read_messages(raw, "messages")
