from __future__ import annotations

from dataclasses import replace

import pytest

from router_service.evaluate.advice import advise
from router_service.evaluate.measure import measure
from router_service.evaluate.outcome import Outcome
from router_service.routing.decision import Reason
from tests.unit.evaluate.builders import answer, case, outcomes

ROUTES = ("home", "utility")
Pair = tuple[str | None, str | Reason]


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        pytest.param(
            [("home", "utility")] * 3 + [("utility", "home")] * 2,
            "`home` and `utility` overlap: 5 of 5 confusions (3 taken for `utility`, 2 for `home`). Say in each "
            "description what only that route does, or make them one route. See case-1, case-2, case-3.",
            id="overlap",
        ),
        pytest.param(
            [("home", "utility")] * 8 + [("utility", "home")],
            "`utility` takes what belongs to `home`: 9 of 9 confusions. Name in the description of `home` what these "
            "cases ask for, and take from `utility` the words that fit them. See case-1, case-2, case-3.",
            id="one-sided",
        ),
        pytest.param(
            [("home", "other")] * 2 + [("home", "home")],
            "`home` is missed: 2 of its 3 cases got no route and went to the default model. Name in its description "
            "what they ask for, or give it `examples`. See case-1, case-2.",
            id="missed",
        ),
        pytest.param(
            [("other", "home")] * 2 + [("other", "utility"), ("other", "other")],
            "3 of the 4 cases that belong to no route were given one (2 `home`, 1 `utility`). Narrow the descriptions "
            "that take them, or add a route if they deserve a model of their own. See case-1, case-2, case-3.",
            id="greedy",
        ),
        pytest.param(
            [("home", Reason.TIMEOUT)] * 2 + [(None, Reason.CLASSIFIER_ERROR), ("home", "home")],
            "3 of 4 cases were not answered (1 classifier_error, 2 timeout): look at the model server before anything "
            "else, then at `router.timeout`. See case-1, case-2, case-3.",
            id="failures",
        ),
    ],
)
def test_each_kind_of_mistake_is_told_with_what_to_do(pairs: list[Pair], text: str) -> None:
    assert [str(finding) for finding in advise(measure("fake", outcomes(pairs), ROUTES))] == [text]


def test_answers_of_the_fallback_are_told() -> None:
    given = replace(answer("home"), failed=Reason.BREAKER_OPEN)
    found = advise(measure("vllm", [Outcome(case("home", id="c1"), given, 0.0)], ROUTES))
    assert [str(finding) for finding in found] == [
        "1 of 1 cases were answered by the fallback (1 breaker_open): these figures are partly its own. Look at "
        "the model server, then at `router.timeout`. See c1."
    ]


def test_findings_are_ranked_by_the_answers_behind_them_and_at_most_three() -> None:
    pairs: list[Pair] = [("utility", "other")]
    pairs += [("home", "utility")] * 2 + [("home", "other")] * 4 + [("other", "utility")] * 3
    found = advise(measure("fake", outcomes(pairs), ROUTES))
    assert [finding.weight for finding in found] == [4, 3, 2]


def test_nothing_wrong_is_nothing_to_change() -> None:
    assert advise(measure("fake", outcomes([("home", "home"), ("other", "other"), (None, "home")]), ROUTES)) == ()


def test_a_threshold_that_would_help_is_named_with_its_gain() -> None:
    answers = [
        *(Outcome(case("home"), answer("home", confidence=0.9), 0.0) for _ in range(5)),
        *(Outcome(case("home"), answer("home", confidence=0.31), 0.0) for _ in range(2)),
        *(Outcome(case("other"), answer("home", confidence=0.3), 0.0) for _ in range(4)),
    ]
    texts = [str(finding) for finding in advise(measure("fake", answers, ROUTES))]
    assert any(
        text.startswith("`router.min_confidence: 0.305` would answer 4 more of these cases right") for text in texts
    )


def test_no_threshold_is_named_where_none_helps() -> None:
    answers = [
        Outcome(case("other"), answer("home", confidence=0.9), 0.0),
        Outcome(case("home"), answer("home", confidence=0.3), 0.0),
    ]
    assert not any("min_confidence" in str(finding) for finding in advise(measure("fake", answers, ROUTES)))
