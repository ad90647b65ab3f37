"""The few things most worth changing, in words that a user can act on. Pure.

Every finding says how many wrong answers it is about, and those numbers rank the findings. They are of different kinds,
and one wrong answer can count in several: the list is what to look at first, not a sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from router_service.evaluate.cases import OTHER
from router_service.evaluate.folds import best_threshold
from router_service.evaluate.measure import Measurement
from router_service.evaluate.outcome import Outcome
from router_service.routing.decision import Reason

MOST = 3
ONE_SIDED = 0.8  # share of a pair's confusions in one direction from which the pair is not an overlap but a pull
EXAMPLES = 3  # case ids and route names in a finding: enough to begin with, few enough to read


@dataclass(frozen=True, slots=True)
class Finding:
    """`weight` wrong answers are behind it, or would become right; `cases` are the first of them."""

    weight: int
    text: str
    cases: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.text} See {', '.join(self.cases)}." if self.cases else self.text


def advise(measurement: Measurement, most: int = MOST) -> tuple[Finding, ...]:
    """At most `most` findings, heaviest first. Empty when nothing was wrong."""
    findings = [
        *_failures(measurement),
        *_fallbacks(measurement),
        *_pairs(measurement),
        *_missed(measurement),
        *_greedy(measurement),
        *_threshold(measurement),
    ]
    return tuple(sorted(findings, key=lambda finding: -finding.weight)[:most])


def reasons(counts: Mapping[Reason, int]) -> str:
    """`2 malformed, 1 timeout`."""
    return ", ".join(f"{count} {reason.value}" for reason, count in sorted(counts.items()))


def _failures(measurement: Measurement) -> Iterator[Finding]:
    if not measurement.failures:
        return
    count = sum(measurement.failures.values())
    yield Finding(
        count,
        f"{count} of {len(measurement.outcomes)} cases were not answered ({reasons(measurement.failures)}): look at "
        "the model server before anything else, then at `router.timeout`.",
        _ids(outcome for outcome in measurement.outcomes if outcome.predicted is None),
    )


def _fallbacks(measurement: Measurement) -> Iterator[Finding]:
    """Cases that the first classifier of the chain did not answer: the figures are not its own."""
    if not measurement.fallbacks:
        return
    answered = [outcome for outcome in measurement.outcomes if outcome.predicted is not None]
    count = sum(measurement.fallbacks.values())
    yield Finding(
        count,
        f"{count} of {len(measurement.outcomes)} cases were answered by the fallback "
        f"({reasons(measurement.fallbacks)}): these figures are partly its own. Look at the model server, "
        "then at `router.timeout`.",
        _ids(outcome for outcome in answered if outcome.classification.failed is not None),
    )


def _pairs(measurement: Measurement) -> Iterator[Finding]:
    """Routes taken for each other."""
    total = sum(each.count for each in measurement.confusions)
    counts = {(each.expected, each.predicted): each.count for each in measurement.confusions}
    for (expected, predicted), there in counts.items():
        back = counts.get((predicted, expected), 0)
        if OTHER in (expected, predicted) or back > there or (back == there and predicted < expected):
            continue  # a pair is told once, from the side that loses more
        both = there + back
        share = f"{both} of {total} confusions"
        if there >= ONE_SIDED * both:
            text = (
                f"`{predicted}` takes what belongs to `{expected}`: {share}. Name in the description of `{expected}` "
                f"what these cases ask for, and take from `{predicted}` the words that fit them."
            )
        else:
            text = (
                f"`{expected}` and `{predicted}` overlap: {share} ({there} taken for `{predicted}`, {back} for "
                f"`{expected}`). Say in each description what only that route does, or make them one route."
            )
        yield Finding(both, text, _wrong(measurement, (expected, predicted), (predicted, expected)))


def _missed(measurement: Measurement) -> Iterator[Finding]:
    """Routes whose cases were given no route."""
    for each in measurement.confusions:
        if each.predicted == OTHER:
            support = measurement.routes[each.expected].support
            yield Finding(
                each.count,
                f"`{each.expected}` is missed: {each.count} of its {support} cases got no route and went to the "
                "default model. Name in its description what they ask for, or give it `examples`.",
                _wrong(measurement, (each.expected, OTHER)),
            )


def _greedy(measurement: Measurement) -> Iterator[Finding]:
    """Cases of no route that were given one."""
    taken = [each for each in measurement.confusions if each.expected == OTHER]
    if not taken:
        return
    count = sum(each.count for each in taken)
    most = ", ".join(f"{each.count} `{each.predicted}`" for each in taken[:EXAMPLES])
    more = f" and {len(taken) - EXAMPLES} more" if len(taken) > EXAMPLES else ""
    yield Finding(
        count,
        f"{count} of the {measurement.other.support} cases that belong to no route were given one ({most}{more}). "
        "Narrow the descriptions that take them, or add a route if they deserve a model of their own.",
        _wrong(measurement, *((OTHER, each.predicted) for each in taken)),
    )


def _threshold(measurement: Measurement) -> Iterator[Finding]:
    """A higher `router.min_confidence`, where it would answer more cases right."""
    named = [
        (outcome.classification.confidence, outcome)
        for outcome in measurement.outcomes
        if outcome.case.expected is not None
        and outcome.classification.route is not None
        and outcome.classification.confidence is not None
    ]
    if not named:
        return
    best = best_threshold(
        [confidence for confidence, _ in named],
        [outcome.right for _, outcome in named],
        [outcome.case.expected == OTHER for _, outcome in named],
    )
    value = _shortest(best.value, [confidence for confidence, _ in named])
    gain = best.right - sum(outcome.right for _, outcome in named)
    if value is not None and gain > 0:
        yield Finding(
            gain,
            f"`router.min_confidence: {value}` would answer {gain} more of these cases right, by sending to the "
            "default model what is now routed with little confidence. Try it on cases that are not in this file.",
        )


def _shortest(threshold: float, confidences: Sequence[float]) -> str | None:
    """The threshold with the fewest decimals that separates the same confidences; None where none in [0, 1] does."""
    given_up = sum(confidence < threshold for confidence in confidences)
    for decimals in range(2, 7):
        value = round(threshold, decimals)
        if 0 < value <= 1 and sum(confidence < value for confidence in confidences) == given_up:
            return f"{value:.{decimals}f}"
    return None


def _wrong(measurement: Measurement, *pairs: tuple[str, str]) -> tuple[str, ...]:
    return _ids(outcome for outcome in measurement.outcomes if (outcome.case.expected, outcome.predicted) in pairs)


def _ids(outcomes: Iterator[Outcome]) -> tuple[str, ...]:
    return tuple(outcome.case.id for outcome, _ in zip(outcomes, range(EXAMPLES), strict=False))
