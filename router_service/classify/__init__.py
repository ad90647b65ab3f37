"""Classifiers: given a conversation, which of the user's preferences is it about.

`embedded` runs in this process on the CPU; `arch_router` asks a model server. A classifier is one coroutine that never
raises (other than being cancelled): what went wrong is the `reason` of its `Classification`.
"""

from __future__ import annotations

from typing import Protocol

from router_service.routing.conversation import Conversation
from router_service.routing.decision import Classification


class Classifier(Protocol):
    """One way of classifying, for one configuration's preferences."""

    @property
    def backend(self) -> str:
        """`embedded`, `vllm` or `openai`: the metric label."""
        ...

    async def classify(self, conversation: Conversation) -> Classification: ...

    async def aclose(self) -> None: ...
