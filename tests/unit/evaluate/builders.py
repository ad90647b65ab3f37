"""Small outcomes for the tests of this folder, written as what was wanted and what was answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from router_service.evaluate.cases import OTHER, Case
from router_service.evaluate.measure import Measurement, measure
from router_service.evaluate.outcome import Outcome
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import Classification, Reason

SMALL_ROUTES = ("code generation", "debugging", "a route whose name is longer than anybody needs")


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


def small(backend: str = "embedded", *, flip: bool = False) -> Measurement:
    """Twelve single cases and two conversations, every kind of line of the report among them."""
    generation, debugging = SMALL_ROUTES[0], SMALL_ROUTES[1]
    scored = [
        (generation, generation, 0.92),
        (generation, generation, 0.81),
        (generation, debugging, 0.55),
        (debugging, debugging, 0.88),
        (debugging, debugging if flip else generation, 0.47),
        (debugging, "other", 0.20),
        ("other", debugging, 0.35),
        ("other", "other", 0.10),
    ]
    single = [
        Outcome(
            case(expected, id=f"single-{number}"),
            answer(predicted, confidence=confidence, scores={generation: confidence, debugging: confidence / 2}),
            number / 1000,
        )
        for number, (expected, predicted, confidence) in enumerate(scored, start=1)
    ]
    return measure(
        backend,
        [
            *single,
            *outcomes(
                [(None, generation), (None, "other"), (SMALL_ROUTES[2], Reason.TIMEOUT), (generation, generation)]
            ),
            *outcomes([(generation, generation), (generation, debugging), (debugging, debugging)], conversation="k1"),
            *outcomes([(debugging, debugging), ("other", "other")], conversation="k2"),
        ],
        SMALL_ROUTES,
    )
