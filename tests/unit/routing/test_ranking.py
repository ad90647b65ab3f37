"""In which order a pool's models are tried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.routing.ranking import (
    MOST_PERMUTED,
    Moment,
    Order,
    Prefer,
    SelectionPolicy,
    Standings,
    orders,
    rank,
)

KEYS = tuple("abcdef")
WEIGHTS = st.one_of(st.just(()), st.tuples(*[st.floats(0, 1e6)] * len(KEYS)))
CHEAPEST, FASTEST, RANDOM = (SelectionPolicy(prefer) for prefer in (Prefer.CHEAPEST, Prefer.FASTEST, Prefer.RANDOM))


def ranked(models: str, policy: SelectionPolicy, *, draw: float = 0.0, **standings: Mapping[str, float] | float) -> str:
    moment = Moment(Standings(**standings), draw)  # type: ignore[arg-type] # each by its name
    return "".join(KEYS[position] for position in rank(range(len(models)), KEYS, policy, moment))


@pytest.mark.parametrize(
    ("models", "prices", "expected"),
    [
        pytest.param("abc", {"a": 3, "b": 1, "c": 2}, "bca", id="the cheaper first"),
        pytest.param("abc", {}, "abc", id="nothing known: as written"),
        pytest.param("abc", {"c": 9}, "cab", id="what has no price comes last, as written"),
        pytest.param("abc", {"a": 1, "b": 1, "c": 1}, "abc", id="equals stay as written"),
        pytest.param("abc", {"b": 0.0}, "bac", id="free is a price"),
        pytest.param("abc", {"x": 0.1, "c": 5}, "cab", id="of other models nothing is read"),
        pytest.param("abcde", {"e": 1, "d": 2, "c": 3}, "eabcd", id="of five only the first is chosen"),
    ],
)
def test_cheapest_and_fastest_rank_by_what_is_known(models: str, prices: Mapping[str, float], expected: str) -> None:
    assert ranked(models, CHEAPEST, prices=prices) == expected
    assert ranked(models, FASTEST, latencies_s=prices) == expected


def test_each_policy_reads_its_own_numbers() -> None:
    said = [
        ranked("ab", policy, prices={"a": 1, "b": 2}, latencies_s={"a": 2, "b": 1})
        for policy in (CHEAPEST, FASTEST, SelectionPolicy())
    ]
    assert said == ["ab", "ba", "ab"]


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        pytest.param(0.0, "cab", id="within the share: the first that was not measured"),
        pytest.param(0.03, "dab", id="within the share: another that was not measured"),
        pytest.param(0.05, "abc", id="outside of it: the fastest"),
        pytest.param(0.99, "abc", id="nearly always: the fastest"),
    ],
)
def test_now_and_then_one_that_was_not_measured_is_tried_first(draw: float, expected: str) -> None:
    assert ranked("abcd", FASTEST, draw=draw, latencies_s={"a": 1, "b": 2}, explored=0.05)[:3] == expected


def test_once_all_are_measured_none_is_tried_out() -> None:
    assert ranked("ab", FASTEST, draw=0.0, latencies_s={"a": 2, "b": 1}, explored=0.05) == "ba"


def test_without_weights_every_order_is_drawn_as_often() -> None:
    drawn = Counter(ranked("abc", RANDOM, draw=step / 600) for step in range(600))
    assert sorted(drawn.values()) == [100] * 6


def test_weights_say_how_often_each_is_first() -> None:
    policy = SelectionPolicy(Prefer.RANDOM, (3.0, 1.0, 0.0))
    drawn = Counter(ranked("abc", policy, draw=step / 400) for step in range(400))
    assert drawn == {"abc": 300, "bac": 100}


# For every policy and whatever is known: an order is a permutation, and one of those that Envoy has a cluster for; and
# no model without a number comes before one with a number, unless only the first is chosen or it is being tried out.
@given(
    policy=st.builds(SelectionPolicy, st.sampled_from(Prefer), WEIGHTS),
    positions=st.sets(st.integers(0, len(KEYS) - 1), min_size=1),
    known=st.dictionaries(st.sampled_from(KEYS), st.floats(0, 1e9)),
    explored=st.sampled_from([0.0, 0.05]),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_an_order_is_a_possible_permutation_with_the_unknown_last(
    policy: SelectionPolicy, positions: set[int], known: Mapping[str, float], explored: float, draw: float
) -> None:
    subset = sorted(positions)
    order: Order = rank(subset, KEYS, policy, Moment(Standings(known, known, explored), draw))
    assert sorted(order) == subset
    assert order in orders(subset, policy)
    if policy.prefer in (Prefer.CHEAPEST, Prefer.FASTEST) and len(order) <= MOST_PERMUTED and draw >= explored:
        has_number = [KEYS[position] in known for position in order]
        assert has_number == sorted(has_number, reverse=True)


@pytest.mark.parametrize(("models", "number"), [(1, 1), (2, 2), (3, 6), (4, 24), (5, 5), (20, 20)])
def test_the_number_of_orders_is_bounded(models: int, number: int) -> None:
    assert len(set(orders(range(models), CHEAPEST))) == number
    assert orders(range(models), SelectionPolicy()) == (tuple(range(models)),)
