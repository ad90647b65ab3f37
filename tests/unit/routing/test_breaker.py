"""The breaker's table, row by row, and as a state machine under any order of events."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from router_service.routing.breaker import Closed, HalfOpen, Open, Outcome, Policy, State, answered, asked, is_allowed

POLICY = Policy(failures=3, first_pause_s=1.0, longest_pause_s=3.0)
SUCCESS, FAILURE, GIVEN_UP = Outcome.SUCCESS, Outcome.FAILURE, Outcome.GIVEN_UP


@pytest.mark.parametrize(
    ("state", "question", "outcome", "after"),
    [
        pytest.param(Closed(), 1, SUCCESS, Closed(), id="closed, success"),
        pytest.param(Closed(2), 1, SUCCESS, Closed(), id="a success clears the count"),
        pytest.param(Closed(), 1, FAILURE, Closed(1), id="closed, failure"),
        pytest.param(Closed(2), 1, FAILURE, Open(11.0, 1.0), id="the last failure opens"),
        pytest.param(Closed(2), 1, GIVEN_UP, Closed(2), id="given up says nothing"),
        pytest.param(Open(12.0, 1.0), 1, SUCCESS, Open(12.0, 1.0), id="old news of success"),
        pytest.param(Open(12.0, 1.0), 1, FAILURE, Open(12.0, 1.0), id="old news of failure"),
        pytest.param(HalfOpen(7, 1.0), 7, SUCCESS, Closed(), id="the probe succeeds"),
        pytest.param(HalfOpen(7, 1.0), 7, FAILURE, Open(12.0, 2.0), id="the probe fails, the pause doubles"),
        pytest.param(HalfOpen(7, 2.0), 7, FAILURE, Open(13.0, 3.0), id="the pause has a limit"),
        pytest.param(HalfOpen(7, 2.0), 7, GIVEN_UP, Open(10.0, 2.0), id="the probe is given up"),
        pytest.param(HalfOpen(7, 1.0), 3, SUCCESS, HalfOpen(7, 1.0), id="old news while probing"),
        pytest.param(HalfOpen(7, 1.0), 3, FAILURE, HalfOpen(7, 1.0), id="old failure while probing"),
    ],
)
def test_what_became_of_a_question_moves_the_breaker(
    state: State, question: int, outcome: Outcome, after: State
) -> None:
    assert answered(POLICY, state, question, outcome, now_s=10.0) == after


def test_an_open_breaker_lets_one_probe_through_when_its_pause_is_over() -> None:
    state: State = Open(until_s=5.0, pause_s=1.0)
    assert not is_allowed(state, 4.9)
    assert is_allowed(state, 5.0)
    state = asked(state, question=9)
    assert state == HalfOpen(9, 1.0)
    assert not is_allowed(state, 1000.0)


def test_asking_a_closed_breaker_changes_nothing() -> None:
    assert asked(Closed(2), question=9) == Closed(2)


class Machine(RuleBasedStateMachine):
    """Invariants: never two probes at once; it never closes but by a success; and it is never shut for good."""

    questions = Bundle("questions")

    def __init__(self) -> None:
        super().__init__()
        self.state: State = Closed()
        self.now_s = 0.0
        self.number = 0
        self.under_way: set[int] = set()
        self.failures_in_a_row = 0

    @rule(seconds=st.floats(0, 5))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(target=questions)
    def ask(self) -> int:
        self.number += 1
        if is_allowed(self.state, self.now_s):
            self.state = asked(self.state, self.number)
            self.under_way.add(self.number)
        return self.number

    @rule(question=consumes(questions), outcome=st.sampled_from(Outcome))
    def hear(self, question: int, outcome: Outcome) -> None:
        if question not in self.under_way:
            return
        self.under_way.remove(question)
        before = self.state
        self.state = answered(POLICY, before, question, outcome, self.now_s)
        if isinstance(self.state, Closed) and not isinstance(before, Closed):
            assert outcome is Outcome.SUCCESS
            assert isinstance(before, HalfOpen)
            assert before.probe == question
        if isinstance(self.state, Open) and isinstance(before, Closed):
            assert outcome is Outcome.FAILURE
            assert before.failures == POLICY.failures - 1

    @invariant()
    def a_probe_is_under_way_or_the_next_question_is_in_sight(self) -> None:
        match self.state:
            case HalfOpen(probe, _):
                assert probe in self.under_way
            case Open(until_s, pause_s):
                assert pause_s <= POLICY.longest_pause_s
                assert until_s <= self.now_s + POLICY.longest_pause_s
            case Closed(failures):
                assert failures < POLICY.failures


TestMachine = Machine.TestCase
