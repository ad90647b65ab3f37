"""Figures over labels, scores, confidences and times. Pure: sequences in, numbers out.

Labels are strings; which of them means "no route" is the caller's business. Shares are in [0, 1]. A figure that does
not exist (the precision of a route that was never named) is None, never 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 10  # of the reliability diagram; the usual number (Guo et al., On Calibration of Modern Neural Networks, 2017)


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """One label: `support` cases carry it, `named` answers gave it, `right` did both."""

    support: int
    named: int
    right: int

    @property
    def precision(self) -> float | None:
        return self.right / self.named if self.named else None

    @property
    def recall(self) -> float | None:
        return self.right / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        total = self.support + self.named
        return 2 * self.right / total if total else None


@dataclass(frozen=True, slots=True)
class Confusion:
    """`count` cases labelled `expected` were answered `predicted`."""

    expected: str
    predicted: str
    count: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose confidence lies in (`low`, `high`] (the first bin includes 0)."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far confidence can be read as a probability. `error` is the expected calibration error, 0 at best."""

    error: float
    bins: tuple[Bin, ...]

    @property
    def count(self) -> int:
        return sum(each.count for each in self.bins)


@dataclass(frozen=True, slots=True)
class Latency:
    p50_ms: float
    p95_ms: float
    max_ms: float


def label_quality(
    labels: Sequence[str], expected: Sequence[str], predicted: Sequence[str | None]
) -> dict[str, LabelQuality]:
    """Per label of `labels`, in that order. A `predicted` of None is an answer that was never given."""
    support, named = Counter(expected), Counter(predicted)
    right = Counter(want for want, got in zip(expected, predicted, strict=True) if want == got)
    return {label: LabelQuality(support[label], named[label], right[label]) for label in labels}


def confusions(expected: Sequence[str], predicted: Sequence[str | None]) -> tuple[Confusion, ...]:
    """What was taken for what, most frequent first, then by name."""
    pairs = Counter(
        (want, got) for want, got in zip(expected, predicted, strict=True) if got is not None and want != got
    )
    found = [Confusion(want, got, count) for (want, got), count in pairs.items()]
    return tuple(sorted(found, key=lambda each: (-each.count, each.expected, each.predicted)))


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float | None:
    """The chance that a random positive scores above a random negative, ties counting half; None without both.

    Mann and Whitney's U by ranks, O(n log n).
    """
    if not positive or not negative:
        return None
    scores = np.concatenate([np.asarray(positive, dtype=np.float64), np.asarray(negative, dtype=np.float64)])
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2  # ranks count from 1; ties share the mean of theirs
    rank_sum = float(mean_rank[inverse[: len(positive)]].sum())
    u = rank_sum - len(positive) * (len(positive) + 1) / 2
    return u / (len(positive) * len(negative))


def calibration(confidences: Sequence[float], right: Sequence[bool]) -> Calibration | None:
    """Expected calibration error over `BINS` equal bins; empty bins are left out. None without answers."""
    if not confidences:
        return None
    confidence = np.clip(np.asarray(confidences, dtype=np.float64), 0.0, 1.0)
    hit = np.asarray(right, dtype=np.float64)
    of_bin = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for index in sorted(set(of_bin.tolist())):
        members = of_bin == index
        bins.append(
            Bin(
                low=index / BINS,
                high=(index + 1) / BINS,
                count=int(members.sum()),
                confidence=float(confidence[members].mean()),
                accuracy=float(hit[members].mean()),
            )
        )
    error = sum(each.count * abs(each.accuracy - each.confidence) for each in bins) / len(confidences)
    return Calibration(error=error, bins=tuple(bins))


def latency(seconds: Sequence[float]) -> Latency | None:
    """Percentiles by linear interpolation; None without times."""
    if not seconds:
        return None
    p50, p95 = np.quantile(np.asarray(seconds, dtype=np.float64), [0.5, 0.95])
    return Latency(p50_ms=float(p50) * 1e3, p95_ms=float(p95) * 1e3, max_ms=max(seconds) * 1e3)
