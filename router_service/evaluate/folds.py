"""Splitting cases for cross-validation, and choosing a threshold. Pure.

What is chosen on some cases must be judged on others. Turns of one conversation repeat each other, so a conversation is
never split between the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


def grouped_folds(
    labels: Sequence[str], groups: Sequence[Hashable], folds: int, seed: int
) -> tuple[tuple[int, ...], ...]:
    """The positions of the items in each fold: a partition that keeps groups whole and spreads labels evenly.

    Largest groups first, in random order among equals, each to the fold that then holds the fewest items of the group's
    labels (the fewest items altogether, where that ties). Raises ValueError when there are fewer groups than folds.
    """
    members: dict[Hashable, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    if len(members) < folds:
        raise ValueError(f"{folds} folds need at least {folds} groups; there are {len(members)}")
    in_order = list(members.values())
    shuffled = [in_order[index] for index in np.random.default_rng(seed).permutation(len(in_order))]
    held: list[list[int]] = [[] for _ in range(folds)]
    counts: list[Counter[str]] = [Counter() for _ in range(folds)]
    for group_members in sorted(shuffled, key=len, reverse=True):
        wanted = Counter(labels[position] for position in group_members)
        fold = min(range(folds), key=lambda index: _crowding(wanted, counts[index], len(held[index])))
        held[fold] += group_members
        counts[fold] += wanted
    return tuple(tuple(sorted(fold)) for fold in held)


def _crowding(wanted: Counter[str], present: Counter[str], size: int) -> tuple[int, int]:
    return sum(count * present[label] for label, count in wanted.items()), size


@dataclass(frozen=True, slots=True)
class Threshold:
    """Answers scoring below `value` are given up; `right` cases are then answered right, of `count`."""

    value: float
    right: int
    count: int


def best_threshold(scores: Sequence[float], right_if_kept: Sequence[bool], no_route: Sequence[bool]) -> Threshold:
    """The threshold with the most right answers: keep and be right, or give up a case that has no route.

    Of thresholds that are equally right the lowest, which gives up least; halfway between two scores, so that it does
    not sit on a case. The lowest possible is minus infinity: give up nothing. Needs at least one case.
    """
    order = np.argsort(np.asarray(scores, dtype=np.float64), kind="stable")
    sorted_scores = np.asarray(scores, dtype=np.float64)[order]
    kept_right = np.asarray(right_if_kept, dtype=np.int64)[order]
    given_up_right = np.asarray(no_route, dtype=np.int64)[order]
    # right[k]: the k lowest are given up.
    right = np.concatenate([[0], np.cumsum(given_up_right)]) + (
        kept_right.sum() - np.concatenate([[0], np.cumsum(kept_right)])
    )
    possible = np.concatenate([[True], sorted_scores[1:] != sorted_scores[:-1], [True]])
    best = int(np.argmax(np.where(possible, right, -1)))
    if best == 0:
        value = float("-inf")
    elif best == len(sorted_scores):
        value = float(np.nextafter(sorted_scores[-1], np.inf))
    else:
        below, kept = sorted_scores[best - 1], sorted_scores[best]
        value = float(max(below + (kept - below) / 2, np.nextafter(below, kept)))  # between neighbouring floats is none
    return Threshold(value=value, right=int(right[best]), count=len(sorted_scores))
