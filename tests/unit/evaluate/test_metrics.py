from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.evaluate.metrics import (
    Bin,
    Confusion,
    LabelQuality,
    auroc,
    calibration,
    confusions,
    label_quality,
    latency,
)

# By hand:      a→a a→a a→b b→b b→other other→other other→a a→(failed)
EXPECTED = ["a", "a", "a", "b", "b", "other", "other", "a"]
PREDICTED = ["a", "a", "b", "b", "other", "other", "a", None]

finite = st.floats(-1e6, 1e6)
labels = st.sampled_from("abc")


def test_quality_per_label_is_what_counting_by_hand_gives() -> None:
    found = label_quality(["a", "b", "other", "never"], EXPECTED, PREDICTED)
    assert found == {
        "a": LabelQuality(support=4, named=3, right=2),
        "b": LabelQuality(support=2, named=2, right=1),
        "other": LabelQuality(support=2, named=2, right=1),
        "never": LabelQuality(support=0, named=0, right=0),
    }
    assert found["a"].precision == pytest.approx(2 / 3)
    assert found["a"].recall == 0.5
    assert found["a"].f1 == pytest.approx(4 / 7)


def test_a_label_that_never_occurs_has_no_precision_recall_or_f1() -> None:
    never = LabelQuality(support=0, named=0, right=0)
    assert (never.precision, never.recall, never.f1) == (None, None, None)


def test_confusions_are_sorted_by_count_then_name_and_leave_out_failures() -> None:
    assert confusions([*EXPECTED, "b"], [*PREDICTED, "other"]) == (
        Confusion("b", "other", 2),
        Confusion("a", "b", 1),
        Confusion("other", "a", 1),
    )


@given(st.lists(st.tuples(labels, labels), max_size=40))
def test_right_answers_and_confusions_add_up_to_the_cases(pairs: list[tuple[str, str]]) -> None:
    # Every answered case is either right under its label or in exactly one confusion.
    expected, predicted = [want for want, _ in pairs], [got for _, got in pairs]
    quality = label_quality("abc", expected, predicted)
    wrong = sum(each.count for each in confusions(expected, predicted))
    assert sum(each.right for each in quality.values()) + wrong == len(pairs)
    assert sum(each.support for each in quality.values()) == sum(each.named for each in quality.values()) == len(pairs)


@pytest.mark.parametrize(
    ("positive", "negative", "expected"),
    [
        pytest.param([0.9, 0.8], [0.1, 0.2], 1.0, id="separated"),
        pytest.param([0.1], [0.9], 0.0, id="reversed"),
        pytest.param([0.5, 0.5], [0.5], 0.5, id="all tied"),
        pytest.param([0.8, 0.4], [0.6, 0.4, 0.2], (3 + 1.5) / 6, id="one tie, one inversion"),
        pytest.param([], [0.5], None, id="no positive"),
        pytest.param([0.5], [], None, id="no negative"),
    ],
)
def test_auroc_by_hand(positive: list[float], negative: list[float], expected: float | None) -> None:
    assert auroc(positive, negative) == (None if expected is None else pytest.approx(expected))


@given(
    st.lists(finite | st.just(0.0), min_size=1, max_size=25), st.lists(finite | st.just(0.0), min_size=1, max_size=25)
)
def test_auroc_is_the_share_of_pairs_in_the_right_order(positive: list[float], negative: list[float]) -> None:
    # The definition, pair by pair, ties counting half.
    pairs = [1.0 if high > low else 0.5 if high == low else 0.0 for high in positive for low in negative]
    assert auroc(positive, negative) == pytest.approx(sum(pairs) / len(pairs))


def test_calibration_by_hand() -> None:
    found = calibration([0.95, 0.91, 0.15, 1.0, 0.0], [True, False, False, True, False])
    assert found is not None
    assert found.bins[:2] == (
        Bin(low=0.0, high=0.1, count=1, confidence=0.0, accuracy=0.0),
        Bin(low=0.1, high=0.2, count=1, confidence=0.15, accuracy=0.0),
    )
    assert (found.bins[2].low, found.bins[2].high, found.bins[2].count) == (0.9, 1.0, 3)
    assert found.bins[2].confidence == pytest.approx((0.95 + 0.91 + 1.0) / 3)
    assert found.bins[2].accuracy == pytest.approx(2 / 3)
    assert found.error == pytest.approx((0.15 + abs(2 - (0.95 + 0.91 + 1.0))) / 5)
    assert found.count == 5


def test_without_answers_there_is_no_calibration() -> None:
    assert calibration([], []) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_every_answer_is_in_one_bin_and_the_error_is_a_share(answers: list[tuple[float, bool]]) -> None:
    # Bins partition the answers, each bin's mean confidence lies inside of it.
    found = calibration([confidence for confidence, _ in answers], [right for _, right in answers])
    assert found is not None
    assert found.count == len(answers)
    assert 0.0 <= found.error <= 1.0
    for each in found.bins:
        assert each.low - 1e-9 <= each.confidence <= each.high + 1e-9


def test_a_confident_liar_is_off_by_all() -> None:
    found = calibration([1.0] * 4, [False] * 4)
    assert found is not None
    assert found.error == 1.0


def test_latency_percentiles_interpolate() -> None:
    found = latency([0.001 * number for number in range(1, 102)])
    assert found is not None
    assert found.p50_ms == pytest.approx(51)
    assert found.p95_ms == pytest.approx(96)
    assert found.max_ms == pytest.approx(101)


def test_without_times_there_is_no_latency() -> None:
    assert latency([]) is None
