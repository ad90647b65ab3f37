"""Every figure of one run: from outcomes to one frozen value. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from router_service.evaluate import metrics
from router_service.evaluate.bootstrap import Estimate, estimate
from router_service.evaluate.cases import OTHER
from router_service.evaluate.conversations import ConversationRights, LabelledTurn, judge
from router_service.evaluate.metrics import Calibration, Confusion, LabelQuality, Latency
from router_service.evaluate.outcome import Outcome
from router_service.routing.decision import Reason


@dataclass(frozen=True, slots=True)
class ConversationFigures:
    """Over the cases that name a conversation. A figure is None where nothing counts towards it."""

    count: int
    turn: Estimate | None
    span: Estimate | None
    whole: Estimate | None
    at_switch: Estimate | None
    flaps: int
    steady_turns: int  # turns that stay on their subject: what could have flapped


@dataclass(frozen=True, slots=True)
class Measurement:
    """One backend on one set of cases.

    `answers` counts every case by what was answered, labelled or not. `failures` counts the cases that were not
    answered, by reason; `fallbacks` those that a later classifier of the chain answered, by why the first did not.
    Everything else is over labelled cases.
    """

    backend: str
    outcomes: tuple[Outcome, ...]
    labelled: int
    accuracy: Estimate | None
    in_scope: Estimate | None  # the accuracy of the cases that belong to a route
    routes: Mapping[str, LabelQuality]
    other: LabelQuality
    answers: Mapping[str, int]
    failures: Mapping[Reason, int]
    fallbacks: Mapping[Reason, int]
    auroc_other: float | None
    confusions: tuple[Confusion, ...]
    calibration: Calibration | None
    latency: Latency | None
    conversations: ConversationFigures | None


def measure(backend: str, outcomes: Sequence[Outcome], routes: Sequence[str]) -> Measurement:
    """All figures. `routes` are the configured preferences' names, in their order."""
    labelled = [outcome for outcome in outcomes if outcome.case.expected is not None]
    expected = [outcome.case.expected or OTHER for outcome in labelled]  # never None here; the type needs saying
    predicted = [outcome.predicted for outcome in labelled]
    quality = metrics.label_quality([*routes, OTHER], expected, predicted)
    of_a_route = [outcome for outcome in labelled if outcome.case.expected != OTHER]
    return Measurement(
        backend=backend,
        outcomes=tuple(outcomes),
        labelled=len(labelled),
        accuracy=_accuracy(labelled),
        in_scope=_accuracy(of_a_route),
        routes={route: quality[route] for route in routes},
        other=quality[OTHER],
        answers=Counter(outcome.predicted for outcome in outcomes if outcome.predicted is not None),
        failures=Counter(outcome.classification.reason for outcome in outcomes if outcome.predicted is None),
        fallbacks=Counter(
            outcome.classification.failed
            for outcome in outcomes
            if outcome.predicted is not None and outcome.classification.failed is not None
        ),
        auroc_other=_auroc_other(labelled),
        confusions=metrics.confusions(expected, predicted),
        calibration=_calibration(labelled),
        latency=metrics.latency([outcome.latency_s for outcome in outcomes]),
        conversations=_conversations(labelled),
    )


def difference(first: Measurement, second: Measurement) -> Estimate | None:
    """By how much the second is more accurate than the first. Both saw the same cases in the same order."""
    pairs = [pair for pair in zip(first.outcomes, second.outcomes, strict=True) if pair[0].case.expected is not None]
    gains = [float(after.right) - float(before.right) for before, after in pairs]
    return estimate(gains, clusters([before for before, _ in pairs]))


def clusters(outcomes: Sequence[Outcome]) -> list[Hashable]:
    """What is drawn together when resampling: the conversation, or the case alone."""
    return [
        ("case", position) if outcome.case.conversation is None else ("conversation", outcome.case.conversation)
        for position, outcome in enumerate(outcomes)
    ]


def in_scope_scores(outcomes: Sequence[Outcome]) -> tuple[list[float], list[float]]:
    """The scores of labelled cases that belong to a route, and of those that belong to none."""
    scored = [
        (outcome.case.expected, score)
        for outcome in outcomes
        if outcome.case.expected is not None and (score := outcome.in_scope_score) is not None
    ]
    return [score for label, score in scored if label != OTHER], [score for label, score in scored if label == OTHER]


def _accuracy(outcomes: Sequence[Outcome]) -> Estimate | None:
    return estimate([float(outcome.right) for outcome in outcomes], clusters(outcomes))


def _auroc_other(labelled: Sequence[Outcome]) -> float | None:
    in_scope, no_route = in_scope_scores(labelled)
    return metrics.auroc(in_scope, no_route)


def _calibration(labelled: Sequence[Outcome]) -> Calibration | None:
    """Of the answers that named a route: there confidence claims to be the chance that the route is right."""
    named = [
        (outcome.classification.confidence, outcome.right)
        for outcome in labelled
        if outcome.classification.reason is Reason.MATCHED and outcome.classification.confidence is not None
    ]
    return metrics.calibration([confidence for confidence, _ in named], [right for _, right in named])


def _conversations(labelled: Sequence[Outcome]) -> ConversationFigures | None:
    judged = {
        name: judge([LabelledTurn(outcome.case.expected or OTHER, outcome.predicted) for outcome in turns])
        for name, turns in _by_conversation(labelled).items()
    }
    if not judged:
        return None
    return ConversationFigures(
        count=len(judged),
        turn=_over(judged, lambda rights: rights.turns),
        span=_over(judged, lambda rights: rights.spans),
        whole=_over(judged, lambda rights: (rights.whole,)),
        at_switch=_over(judged, lambda rights: rights.switches),
        flaps=sum(sum(rights.flaps) for rights in judged.values()),
        steady_turns=sum(len(rights.flaps) for rights in judged.values()),
    )


def _by_conversation(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes that name a conversation, in file order."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.case.conversation is not None:
            found.setdefault(outcome.case.conversation, []).append(outcome)
    return found


def _over(
    judged: Mapping[str, ConversationRights], items: Callable[[ConversationRights], tuple[bool, ...]]
) -> Estimate | None:
    pairs = [(name, right) for name, rights in judged.items() for right in items(rights)]
    return estimate([float(right) for _, right in pairs], [name for name, _ in pairs])
