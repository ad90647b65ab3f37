from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.evaluate.bootstrap import estimate

values = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=60)


def test_no_items_have_no_estimate() -> None:
    assert estimate([]) is None


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = estimate([1.0] * 50)
    assert found is not None
    assert (found.value, found.low, found.high, found.count) == (1.0, 1.0, 1.0, 50)


def test_the_interval_of_half_of_400_is_what_the_normal_approximation_gives() -> None:
    found = estimate([0.0, 1.0] * 200)
    assert found is not None
    assert found.value == 0.5
    half_width = 1.96 * (0.5 * 0.5 / 400) ** 0.5  # 0.049
    assert found.low == pytest.approx(0.5 - half_width, abs=0.005)
    assert found.high == pytest.approx(0.5 + half_width, abs=0.005)


def test_ten_turns_that_stand_and_fall_together_count_as_one() -> None:
    alone = estimate([0.0, 1.0] * 200)
    together = estimate([float(item // 10 % 2) for item in range(400)], [item // 10 for item in range(400)])
    assert alone is not None
    assert together is not None
    assert together.value == alone.value
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(10**0.5, rel=0.1)


@given(values, st.integers(0, 2**32 - 1), st.data())
def test_an_interval_holds_its_estimate_and_stays_within_the_values(
    items: list[float], seed: int, data: st.DataObject
) -> None:
    # Whatever the clusters, however unequal: lowest value ≤ low ≤ mean ≤ high ≤ highest value.
    clusters = data.draw(st.lists(st.integers(0, 4), min_size=len(items), max_size=len(items)))
    found = estimate(items, clusters, seed=seed)
    assert found is not None
    assert found.value == pytest.approx(sum(items) / len(items))
    assert min(items) <= found.low <= found.value <= found.high <= max(items)


@given(values, st.integers(0, 2**32 - 1))
def test_one_seed_gives_one_interval(items: list[float], seed: int) -> None:
    # The same cases must print the same report.
    assert estimate(items, seed=seed) == estimate(items, seed=seed)


def test_cases_that_do_not_fit_into_one_chunk_are_all_drawn() -> None:
    found = estimate([0.0, 1.0] * 1500)  # 3000 clusters, 2000 resamples: several chunks
    assert found is not None
    half_width = 1.96 * (0.25 / 3000) ** 0.5
    assert found.low == pytest.approx(0.5 - half_width, abs=0.002)
    assert found.high == pytest.approx(0.5 + half_width, abs=0.002)
