from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.evaluate.folds import best_threshold, grouped_folds

scored = st.lists(
    st.tuples(st.floats(-1, 1) | st.sampled_from([0.0, 0.25, 0.5]), st.booleans(), st.booleans()),
    min_size=1,
    max_size=30,
)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=1, max_size=50), st.integers(1, 5))
def test_folds_are_a_partition_that_never_splits_a_group(items: list[tuple[str, int]], folds: int) -> None:
    # Every item in exactly one fold; two items of one group never apart; the same seed, the same folds.
    labels, groups = [label for label, _ in items], [group for _, group in items]
    if len(set(groups)) < folds:
        with pytest.raises(ValueError, match="groups"):
            grouped_folds(labels, groups, folds, seed=1)
        return
    found = grouped_folds(labels, groups, folds, seed=1)
    assert sorted(position for fold in found for position in fold) == list(range(len(items)))
    assert all(fold for fold in found)
    homes = [{groups[position] for position in fold} for fold in found]
    assert sum(len(home) for home in homes) == len(set(groups))
    assert found == grouped_folds(labels, groups, folds, seed=1)


def test_labels_are_spread_evenly() -> None:
    labels = ["a"] * 20 + ["b"] * 10 + ["c"] * 5
    for fold in grouped_folds(labels, range(35), 5, seed=3):
        held = [labels[position] for position in fold]
        assert (held.count("a"), held.count("b"), held.count("c")) == (4, 2, 1)


def test_another_seed_gives_other_folds() -> None:
    assert grouped_folds(["a"] * 30, range(30), 3, seed=1) != grouped_folds(["a"] * 30, range(30), 3, seed=2)


def test_a_threshold_gives_up_what_has_no_route_and_scores_lowest() -> None:
    found = best_threshold([0.9, 0.2, 0.3, 0.8], [True, False, False, True], [False, True, True, False])
    assert found.value == pytest.approx(0.55)
    assert (found.right, found.count) == (4, 4)


def test_nothing_is_given_up_where_that_is_best() -> None:
    found = best_threshold([0.9, 0.2], [True, True], [False, False])
    assert found.value == -math.inf
    assert found.right == 2


def test_everything_is_given_up_where_no_case_has_a_route() -> None:
    found = best_threshold([0.9, 0.2], [False, False], [True, True])
    assert found.value > 0.9
    assert found.right == 2


@given(scored)
def test_no_other_threshold_answers_more_cases_right(cases: list[tuple[float, bool, bool]]) -> None:
    # Against the definition: try every threshold that could make a difference, count, compare.
    scores = [score for score, _, _ in cases]
    # A case is right when kept, or right when given up, never both.
    kept_right = [kept and not no_route for _, kept, no_route in cases]
    no_route = [no_route for _, _, no_route in cases]

    def right_at(threshold: float) -> int:
        return sum(
            no if score < threshold else yes for score, yes, no in zip(scores, kept_right, no_route, strict=True)
        )

    found = best_threshold(scores, kept_right, no_route)
    assert found.right == right_at(found.value)
    assert found.right == max(right_at(threshold) for threshold in [-math.inf, *scores, math.inf])
