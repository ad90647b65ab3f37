"""The APIs that clients speak and providers take. A request is sent on in the API that it came in."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Api(StrEnum):
    """The value is its name in the configuration, in a provider's `apis`."""

    CHAT = "chat"  # OpenAI Chat Completions
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MESSAGES = "messages"  # Anthropic Messages
    RESPONSES = "responses"  # OpenAI Responses

    @property
    def path(self) -> str:
        """Where clients send it."""
        return _PATHS[self]


_PATHS: Mapping[Api, str] = MappingProxyType(
    {
        Api.CHAT: "/v1/chat/completions",
        Api.COMPLETIONS: "/v1/completions",
        Api.EMBEDDINGS: "/v1/embeddings",
        Api.MESSAGES: "/v1/messages",
        Api.RESPONSES: "/v1/responses",
    }
)

# Of whatever calls itself compatible with OpenAI's API. Which of its models take which is its own business.
OPENAI_COMPATIBLE = frozenset({Api.CHAT, Api.COMPLETIONS, Api.EMBEDDINGS})

# Those that carry a conversation, which can be classified; the others are routed by name only.
CONVERSATIONS = frozenset({Api.CHAT, Api.MESSAGES, Api.RESPONSES})
