"""Small outcomes for the tests of this folder, written as what was wanted and what was answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from router_service.evaluate.cases import OTHER, Case
from router_service.evaluate.outcome import Outcome
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import Classification, Reason


def case(expected: str | None = None, *, id: str = "c", text: str = "hello", conversation: str | None = None) -> Case:  # noqa: A002
    return Case(id, Conversation((Turn("user", text),)), expected, conversation)


def answer(
    predicted: str | Reason,
    *,
    confidence: float | None = None,
    scores: Mapping[str, float] = MappingProxyType({}),
) -> Classification:
    """A route, "other", or the reason of a failure."""
    if isinstance(predicted, Reason):
        return Classification(predicted, confidence=confidence, scores=scores)
    if predicted == OTHER:
        return Classification(Reason.NO_ROUTE, confidence=confidence, scores=scores)
    return Classification(Reason.MATCHED, predicted, confidence=confidence, scores=scores)


def outcomes(
    pairs: Sequence[tuple[str | None, str | Reason]], *, conversation: str | None = None, latency_s: float = 0.002
) -> list[Outcome]:
    """(expected, predicted) pairs; ids count from 1."""
    return [
        Outcome(
            case(expected, id=f"{conversation or 'case'}-{number}", conversation=conversation), answer(got), latency_s
        )
        for number, (expected, got) in enumerate(pairs, start=1)
    ]
