from __future__ import annotations

import pytest

from router_service.evaluate.outcome import Outcome
from router_service.routing.decision import ANSWERED, Classification, Reason
from tests.unit.evaluate.builders import answer, case


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in ANSWERED])
def test_a_failure_is_no_answer_even_where_no_route_is_right(reason: Reason) -> None:
    outcome = Outcome(case("other"), answer(reason), 0.0)
    assert outcome.predicted is None
    assert not outcome.right


@pytest.mark.parametrize("reason", sorted(ANSWERED - {Reason.MATCHED}))
def test_an_answer_without_a_route_is_other(reason: Reason) -> None:
    outcome = Outcome(case("other"), answer(reason), 0.0)
    assert outcome.predicted == "other"
    assert outcome.right


def test_an_unlabelled_case_is_never_right() -> None:
    assert not Outcome(case(None), answer("a"), 0.0).right


@pytest.mark.parametrize(
    ("given", "score"),
    [
        pytest.param(answer("a", confidence=0.9, scores={"a": 0.4, "b": 0.1}), 0.4, id="best score first"),
        pytest.param(answer("other", confidence=0.9, scores={"a": 0.4, "b": 0.1}), 0.4, id="scores of a refusal"),
        pytest.param(answer("a", confidence=0.75), 0.75, id="confidence in a route"),
        pytest.param(answer("other", confidence=0.75), 0.25, id="confidence in no route"),
        pytest.param(answer(Reason.LOW_CONFIDENCE, confidence=0.25), 0.25, id="too little confidence in a route"),
        pytest.param(answer("a"), None, id="nothing known"),
        pytest.param(answer(Reason.TIMEOUT, confidence=0.5), None, id="a failure"),
    ],
)
def test_how_much_some_route_fits(given: Classification, score: float | None) -> None:
    assert Outcome(case("a"), given, 0.0).in_scope_score == score
