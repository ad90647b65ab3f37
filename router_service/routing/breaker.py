"""A circuit breaker: a server that fails again and again is left alone for a while, then tried with one question.

Pure: states are values, time is an argument (seconds of any monotonic clock). The rules, all of them:

    state      event                  next
    Closed     success                Closed, no failures counted
    Closed     failure                Closed, one more; at `failures` in a row Open for `first_pause_s`
    Open       asked before its end   refused
    Open       asked after its end    HalfOpen; this question is the probe, every other is refused
    HalfOpen   the probe succeeds     Closed
    HalfOpen   the probe fails        Open for twice the last pause, at most `longest_pause_s`
    HalfOpen   the probe is given up  Open, but over: the next question is the probe
    any        news of a question     ignored, unless the state is Closed or the question is its probe:
                                      it was asked of the server as it was before

A question is "given up" when its client went away; that says nothing about the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never


@dataclass(frozen=True, slots=True)
class Policy:
    failures: int = 5  # in a row; fewer would open on one hiccup under concurrency
    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0  # a restarted model server is back in use within this time


@dataclass(frozen=True, slots=True)
class Closed:
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    until_s: float
    pause_s: float


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """`probe` numbers the question that decides."""

    probe: int
    pause_s: float


State = Closed | Open | HalfOpen


class Outcome(Enum):
    SUCCESS = auto()
    FAILURE = auto()
    GIVEN_UP = auto()


def is_allowed(state: State, now_s: float) -> bool:
    """Whether a question may be asked now."""
    match state:
        case Closed():
            return True
        case Open():
            return now_s >= state.until_s
        case HalfOpen():
            return False
        case _:
            assert_never(state)


def asked(state: State, question: int) -> State:
    """The state once the allowed `question` (a number not used before) is on its way."""
    return HalfOpen(question, state.pause_s) if isinstance(state, Open) else state


def answered(policy: Policy, state: State, question: int, outcome: Outcome, now_s: float) -> State:
    """The state once it is known what became of `question`."""
    match state, outcome:
        case (Closed(), Outcome.SUCCESS):
            return Closed()
        case (Closed(failures), Outcome.FAILURE):
            if failures + 1 < policy.failures:
                return Closed(failures + 1)
            return Open(now_s + policy.first_pause_s, policy.first_pause_s)
        case (HalfOpen(probe, _), Outcome.SUCCESS) if probe == question:
            return Closed()
        case (HalfOpen(probe, pause_s), Outcome.FAILURE) if probe == question:
            longer_s = min(2 * pause_s, policy.longest_pause_s)
            return Open(now_s + longer_s, longer_s)
        case (HalfOpen(probe, pause_s), Outcome.GIVEN_UP) if probe == question:
            return Open(now_s, pause_s)
        case _:
            return state
