from __future__ import annotations

import json
from dataclasses import replace

import pytest

from router_service.evaluate.json_report import to_json
from router_service.evaluate.measure import difference, measure
from router_service.evaluate.metrics import Confusion, LabelQuality
from router_service.evaluate.outcome import Outcome
from router_service.routing.decision import Reason
from tests.unit.evaluate.builders import answer, case, outcomes

ROUTES = ("a", "b")

# Six single cases, one of them unlabelled and one not answered; one conversation a a b, its middle turn wrong.
SMALL = [
    *outcomes([("a", "a"), ("a", "b"), ("b", "other"), ("other", "other"), (None, "a"), ("b", Reason.TIMEOUT)]),
    *outcomes([("a", "a"), ("a", "b"), ("b", "b")], conversation="k"),
]


def test_figures_of_a_small_run_are_what_counting_by_hand_gives() -> None:
    found = measure("fake", SMALL, ROUTES)
    assert found.labelled == 8
    assert found.accuracy is not None
    assert found.accuracy.value == 0.5
    assert found.routes == {"a": LabelQuality(4, 2, 2), "b": LabelQuality(3, 3, 1)}
    assert found.other == LabelQuality(1, 2, 1)
    assert found.answers == {"a": 3, "b": 3, "other": 2}
    assert found.failures == {Reason.TIMEOUT: 1}
    assert found.confusions == (Confusion("a", "b", 2), Confusion("b", "other", 1))
    assert found.latency is not None
    assert found.latency.p50_ms == pytest.approx(2)
    conversations = found.conversations
    assert conversations is not None
    assert conversations.turn is not None
    assert conversations.span is not None
    assert conversations.whole is not None
    assert conversations.at_switch is not None
    assert conversations.turn.value == pytest.approx(2 / 3)
    assert conversations.span.value == 0.5
    assert conversations.whole.value == 0.0
    assert conversations.at_switch.value == 1.0
    assert (conversations.count, conversations.flaps, conversations.steady_turns) == (1, 1, 1)


def test_an_unlabelled_turn_is_as_if_it_were_not_there() -> None:
    with_gap = outcomes([("a", "a"), (None, "b"), ("a", "a"), ("b", "b")], conversation="k")
    found = measure("fake", with_gap, ROUTES).conversations
    assert found is not None
    assert found.flaps == 0
    assert found.span is not None
    assert found.span.count == 2


def test_conversations_may_be_interleaved_in_the_file() -> None:
    first, second = outcomes([("a", "a"), ("b", "b")], conversation="k"), outcomes([("a", "b")], conversation="l")
    found = measure("fake", [first[0], second[0], first[1]], ROUTES).conversations
    assert found is not None
    assert found.at_switch is not None
    assert (found.count, found.at_switch.count, found.at_switch.value) == (2, 1, 1.0)


def test_confidence_is_judged_only_where_a_route_was_named() -> None:
    answers = [
        Outcome(case("a"), answer("a", confidence=0.95), 0.0),
        Outcome(case("a"), answer("other", confidence=0.05), 0.0),
        Outcome(case("a"), answer("b"), 0.0),
        Outcome(case(None), answer("b", confidence=0.5), 0.0),
    ]
    found = measure("fake", answers, ROUTES).calibration
    assert found is not None
    assert found.count == 1
    assert found.error == pytest.approx(0.05)


def test_no_route_is_told_from_routes_by_the_best_score() -> None:
    answers = [
        Outcome(case("a"), answer("b", scores={"a": 0.1, "b": 0.6}), 0.0),
        Outcome(case("b"), answer("other", scores={"a": 0.1, "b": 0.2}), 0.0),
        Outcome(case("other"), answer("other", scores={"a": 0.3, "b": 0.2}), 0.0),
    ]
    assert measure("fake", answers, ROUTES).auroc_other == 0.5


def test_without_labels_there_are_shares_and_times_but_no_accuracy() -> None:
    found = measure("fake", outcomes([(None, "a"), (None, "other")]), ROUTES)
    assert found.accuracy is None
    assert found.answers == {"a": 1, "other": 1}
    assert found.conversations is None


def test_what_a_fallback_answered_is_counted_by_why_it_was_asked() -> None:
    by_fallback = replace(answer("a"), failed=Reason.TIMEOUT)
    unanswered = replace(answer(Reason.CLASSIFIER_ERROR), failed=Reason.TIMEOUT)
    found = measure("fake", [Outcome(case("a"), given, 0.0) for given in (by_fallback, unanswered)], ROUTES)
    assert found.fallbacks == {Reason.TIMEOUT: 1}
    assert found.failures == {Reason.CLASSIFIER_ERROR: 1}


def test_the_difference_of_two_backends_is_paired_by_case() -> None:
    before = measure("one", outcomes([("a", "a")] * 50 + [("b", "a")] * 50), ROUTES)
    after = measure("two", outcomes([("a", "a")] * 50 + [("b", "b")] * 10 + [("b", "a")] * 40), ROUTES)
    gain = difference(before, after)
    assert gain is not None
    assert gain.value == pytest.approx(0.1)
    assert gain.low > 0  # ten cases gained and none lost: paired, that is beyond chance
    assert difference(after, after) == difference(before, before)


def test_the_json_report_has_every_documented_key() -> None:
    found = to_json([measure("fake", SMALL, ROUTES)])
    assert json.loads(json.dumps(found)) == {
        "backend": "fake",
        "cases": 9,
        "labelled": 8,
        "accuracy": 0.5,
        "accuracy_ci": found["accuracy_ci"],
        "accuracy_in_scope": 0.428571,
        "routes": {
            "a": {"precision": 1.0, "recall": 0.5, "f1": 0.666667, "support": 4, "answers": 3},
            "b": {"precision": 0.333333, "recall": 0.333333, "f1": 0.333333, "support": 3, "answers": 3},
        },
        "other": {
            "precision": 0.5,
            "recall": 1.0,
            "f1": 0.666667,
            "support": 1,
            "answers": 2,
            "share": 0.222222,
            "expected_share": 0.125,
        },
        "failures": {"timeout": 1},
        "fallbacks": {},
        "auroc_other": None,
        "confusions": [
            {"expected": "a", "predicted": "b", "count": 2},
            {"expected": "b", "predicted": "other", "count": 1},
        ],
        "calibration": None,
        "latency_ms": {"p50": 2.0, "p95": 2.0, "max": 2.0},
        "conversations": 1,
        "turn": 0.666667,
        "span": 0.5,
        "conversation": 0.0,
        "at_switch": 1.0,
        "flaps": 1,
        "intervals": {
            "accuracy_in_scope": to_json([measure("fake", SMALL[:3] + SMALL[5:], ROUTES)])["accuracy_ci"],
            "turn": [0.666667, 0.666667],
            "span": [0.5, 0.5],
            "conversation": [0.0, 0.0],
            "at_switch": [1.0, 1.0],
        },
    }


def test_the_interval_in_the_json_is_the_estimates() -> None:
    measured = measure("fake", SMALL, ROUTES)
    assert measured.accuracy is not None
    low, high = measured.accuracy.low, measured.accuracy.high
    assert 0.0 <= low < 0.5 < high <= 1.0
    assert to_json([measured])["accuracy_ci"] == [round(low, 6), round(high, 6)]


def test_the_json_of_a_comparison_holds_a_report_for_each_other_backend() -> None:
    first, second = measure("one", SMALL, ROUTES), measure("two", SMALL, ROUTES)
    found = to_json([first, second])
    assert found["compare"] == [{**to_json([second]), "gain": 0.0, "gain_ci": [0.0, 0.0]}]
    assert {key: value for key, value in found.items() if key != "compare"} == to_json([first])
