"""Settings of the embedded classifier that suit one configuration, found on its labelled cases. Pure.

The search goes through the settings one after the other (coordinate ascent), keeps what answers more cases right, and
goes round again until nothing does. A change must pay for itself: fewer than `LEAST` more cases right are not worth
leaving a default that was measured on many routes.

What is chosen on some cases looks better on them than it is. So the whole search is run once for each fold, on the
cases of the other folds, and judged on its own: that is the gain which is reported, and without which nothing is kept.
Whole conversations stay in one fold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from router_service.evaluate.bootstrap import SEED, Estimate, estimate
from router_service.evaluate.folds import grouped_folds

FOLDS = 5
LEAST = 2  # cases, and at least one in two hundred of them
MOST_ROUNDS = 3  # over all settings; the third rarely changes one
MOST_OFFSETS = 50  # routes; beyond, and with fewer cases than CASES_FOR_AN_OFFSET, a route has no offset of its own
CASES_FOR_AN_OFFSET = 10
QUANTILES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
MARGINS = (0.05, 0.1, 0.2, 2.0)  # of the last, the score alone decides

Rights = npt.NDArray[np.bool_]  # one per case


@dataclass(frozen=True, slots=True)
class Settings:
    """What is fitted. Units as in `routing.scoring` and `routing.follow`; `offsets` has one per preference."""

    threshold: float
    margin: float
    whole: float
    best_parts: int
    hold: float
    ending: float
    offsets: tuple[float, ...]


Axis = Callable[[Settings], Iterator[Settings]]  # the settings that differ in one thing


@dataclass(frozen=True, slots=True)
class FitResult:
    """`settings` are found on all cases; `before` and `held_out` are accuracies, of the start and on held-out folds."""

    settings: Settings
    before: Estimate
    held_out: Estimate
    gain: Estimate

    @property
    def gained(self) -> bool:
        """Whether the cases show that it is better, and not only that it may be."""
        return self.gain.low > 0


def fit(
    start: Settings,
    axes: Sequence[Axis],
    right: Callable[[Settings], Rights],
    labels: Sequence[str],
    groups: Sequence[Hashable],
    *,
    on_search: Callable[[], None],
    seed: int = SEED,
) -> FitResult:
    """The best settings, and what the same search gained where it had not looked.

    `right` says which cases given settings answer right; `on_search` is called after each of FOLDS + 1 searches.
    Raises ValueError when there are fewer groups than folds.
    """
    known: dict[Settings, Rights] = {}

    def rights(settings: Settings) -> Rights:
        if settings not in known:
            known[settings] = right(settings)
        return known[settings]

    before = rights(start)
    held_out = before.copy()
    for fold in grouped_folds(labels, groups, FOLDS, seed):
        inside = np.ones(len(before), np.bool_)
        inside[list(fold)] = False
        found = _search(start, axes, partial(_some, rights, inside))
        held_out[list(fold)] = rights(found)[list(fold)]
        on_search()
    settings = _search(start, axes, rights)
    on_search()
    return FitResult(
        settings,
        before=_estimate(before.astype(float), groups),
        held_out=_estimate(held_out.astype(float), groups),
        gain=_estimate(held_out.astype(float) - before.astype(float), groups),
    )


def _some(rights: Callable[[Settings], Rights], inside: Rights, settings: Settings) -> Rights:
    chosen: Rights = rights(settings)[inside]
    return chosen


def _estimate(values: npt.NDArray[np.float64], groups: Sequence[Hashable]) -> Estimate:
    found = estimate(values.tolist(), groups)
    assert found is not None  # there are at least as many cases as folds
    return found


def _search(start: Settings, axes: Sequence[Axis], rights: Callable[[Settings], Rights]) -> Settings:
    best, most = start, int(rights(start).sum())
    least = max(LEAST, -(-len(rights(start)) // 200))
    for _ in range(MOST_ROUNDS):
        round_began = best
        for axis in axes:
            # Of equals the first, which is the nearest to what is.
            count, found = max(((int(rights(each).sum()), each) for each in axis(best)), key=lambda pair: pair[0])
            if count >= most + least:
                best, most = found, count
        if best == round_began:
            break
    return best


def axes_for(
    labels: Sequence[str], routes: Sequence[str], top_scores: Sequence[float], *, unit: float, conversations: bool
) -> tuple[Axis, ...]:
    """What may be changed, given the labels and the best score of each case; `unit` is the calibration's.

    Thresholds are quantiles of the scores, so that they suit an encoder of any spread, and are tried with every margin:
    a lead beyond the margin excuses a low score, so that neither changes much alone.
    """
    thresholds = (np.floor(np.quantile(top_scores, QUANTILES) * 1000) / 1000).tolist()
    axes: list[Axis] = [
        lambda at: (
            replace(at, threshold=threshold, margin=margin)
            for margin in (0.05, 0.1, 0.2, 2.0)
            for threshold in thresholds
        ),
        _values(lambda at, value: replace(at, whole=value), (0.25, 0.1, 0.4, 0.6)),
        _values(lambda at, value: replace(at, best_parts=int(value)), (2, 1, 3)),
    ]
    if conversations:
        axes += [
            _values(lambda at, value: replace(at, hold=value), (8.5, 7.0, 5.5, 4.0, 3.0, 2.0, 10.0)),
            _values(lambda at, value: replace(at, ending=value), (8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 10.0, 12.0)),
        ]
    counts = Counter(labels)
    if len(routes) <= MOST_OFFSETS:
        axes += [_offset(position, unit) for position, name in enumerate(routes) if counts[name] >= CASES_FOR_AN_OFFSET]
    return tuple(axes)


def _values(changed: Callable[[Settings, float], Settings], values: Sequence[float]) -> Axis:
    return lambda at: (changed(at, value) for value in values)


def _offset(position: int, unit: float) -> Axis:
    def axis(at: Settings) -> Iterator[Settings]:
        for step in (-0.5, 0.5, -1.0, 1.0, -2.0, 2.0):
            offsets = list(at.offsets)
            offsets[position] = round(offsets[position] + step * unit, 3)
            yield replace(at, offsets=tuple(offsets))

    return axis
