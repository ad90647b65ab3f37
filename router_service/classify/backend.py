"""What differs between kinds of model servers: how a question is put, and what a probe can find out."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from router_service.classify.facts import Facts
from router_service.classify.model_server import Choice, Completion, Failure, ModelServer, ServedModel, ServerFailed
from router_service.routing.answer import Answer


@dataclass(frozen=True, slots=True)
class Verdict:
    """A server's answer. `weights` are probabilities by name, `other` included; None if the server gave none.

    `questions` is how often it was asked, `decoded_tokens` how many tokens it wrote for that.
    """

    answer: Answer
    weights: Mapping[str, float] | None = None
    questions: int = 1
    decoded_tokens: int = 0


_Value = TypeVar("_Value")


class Backend(Protocol):
    """Raises ServerFailed. `facts` is None while a server has not been probed."""

    @property
    def name(self) -> str: ...

    async def probe(self, server: ModelServer, served: tuple[ServedModel, ...], prompt: str) -> Facts:
        """Find out what a server that lists `served` can do, by a question with `prompt` among other things."""
        ...

    async def ask(self, server: ModelServer, facts: Facts | None, prompt: str) -> Verdict: ...


def only_choice(completion: Completion) -> Choice:
    """The one answer that was asked for."""
    if not completion.choices:
        raise ServerFailed(Failure.UNREADABLE, "no choices")
    return completion.choices[0]


async def unless_lacking(asking: Awaitable[_Value]) -> _Value | None:
    """What the server says, None if it is there but does not know the question."""
    try:
        return await asking
    except ServerFailed as failed:
        if failed.failure in {Failure.UNREACHABLE, Failure.LOST}:
            raise
        return None
