"""The bounds around a question: time, number, identical ones, the cache, the second try, and whose fault it was."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import pytest

from router_service.classify.answer_cache import AnswerCache
from router_service.classify.arch_router import ArchRouter, Bounds
from router_service.classify.backend import Verdict
from router_service.classify.facts import Facts
from router_service.classify.model_server import Failure, ServerFailed
from router_service.classify.replicas import Replicas
from router_service.routing.answer import Answer
from router_service.routing.breaker import Policy
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import Reason
from router_service.routing.prompt import BYTES_PER_TOKEN, LayoutName, load_layout
from tests.unit.classify.fakes import (
    HANG,
    HELLO,
    NOTHING_FITS,
    SERVED,
    Behaviour,
    Clock,
    FakeBackend,
    FakeServer,
    matched,
    preference,
    say,
    unreachable,
)
from tests.unit.classify.test_replicas import Names

BOUNDS = Bounds(timeout_s=60, max_in_flight=4, min_confidence=0.0, max_turns=16, max_prompt_tokens=8192)
POLICY = Policy(failures=2, first_pause_s=1.0, longest_pause_s=8.0)
PREFERENCES = (preference("code"), preference("poetry"))
FIRST, SECOND = "10.0.0.1", "10.0.0.2"


@dataclass
class Fixture:
    classifier: ArchRouter
    backend: FakeBackend
    replicas: Replicas
    clock: Clock


def arch_router(
    *answers: Behaviour,
    second: Behaviour | None = None,
    bounds: Bounds = BOUNDS,
    ttl_s: float = 0.0,
    preferences: tuple[object, ...] = PREFERENCES,
) -> Fixture:
    """A classifier whose first replica gives `answers`; there is a second replica if it has an answer."""
    clock = Clock()
    backend = FakeBackend({FIRST: list(answers), SECOND: [second] if second else []})
    ips = [FIRST, SECOND] if second else [FIRST]
    replicas = Replicas(
        [f"http://{ip}:8000" for ip in ips],
        lambda address: FakeServer(address=address),
        resolver=Names(),
        policy=POLICY,
        clock=clock,
    )
    classifier = ArchRouter(
        backend,
        replicas,
        PREFERENCES if preferences is PREFERENCES else (),
        layout=load_layout(LayoutName.MODEL_CARD),
        bounds=bounds,
        cache=AnswerCache(ttl_s=ttl_s, entries=10),
        clock=clock,
    )
    return Fixture(classifier, backend, replicas, clock)


def failure(failure: Failure) -> ServerFailed:
    return ServerFailed(failure, "for a test")


async def test_an_answer_is_the_route_with_its_probability_and_the_others() -> None:
    fixture = arch_router(matched("code", code=0.75, poetry=0.05, other=0.2))
    answer = await fixture.classifier.classify(HELLO)
    assert (answer.reason, answer.route, answer.confidence, answer.backend) == (Reason.MATCHED, "code", 0.75, "vllm")
    assert answer.scores == {"code": 0.75, "poetry": 0.05}


async def test_nothing_fits_is_an_answer_with_the_probability_of_other() -> None:
    fixture = arch_router(Verdict(Answer(Reason.NO_ROUTE), {"code": 0.1, "poetry": 0.0, "other": 0.9}))
    answer = await fixture.classifier.classify(HELLO)
    assert (answer.reason, answer.route, answer.confidence) == (Reason.NO_ROUTE, None, 0.9)


@pytest.mark.parametrize(
    ("confidence", "reason"),
    [
        pytest.param(0.6, Reason.MATCHED, id="at the threshold"),
        pytest.param(0.59, Reason.LOW_CONFIDENCE, id="below it"),
        pytest.param(None, Reason.MATCHED, id="a server that tells none is taken at its word"),
    ],
)
async def test_a_match_below_min_confidence_is_none(confidence: float | None, reason: Reason) -> None:
    verdict = matched("code") if confidence is None else matched("code", code=confidence)
    fixture = arch_router(verdict, bounds=replace(BOUNDS, min_confidence=0.6))
    answer = await fixture.classifier.classify(HELLO)
    assert (answer.reason, answer.confidence) == (reason, confidence)


@pytest.mark.parametrize("reason", [Reason.UNKNOWN_ROUTE, Reason.MALFORMED])
async def test_an_answer_that_cannot_be_used_says_why_and_never_shuts_the_server_out(reason: Reason) -> None:
    fixture = arch_router(Verdict(Answer(reason)))
    for _ in range(POLICY.failures + 1):
        assert (await fixture.classifier.classify(HELLO)).reason is reason


@pytest.mark.parametrize(
    ("conversation", "preferences", "reason"),
    [
        pytest.param(Conversation((Turn("assistant", "hi"),)), PREFERENCES, Reason.NO_TEXT, id="no user text"),
        pytest.param(HELLO, (), Reason.NO_PREFERENCES, id="no preferences"),
    ],
)
async def test_there_is_nothing_to_ask(
    conversation: Conversation, preferences: tuple[object, ...], reason: Reason
) -> None:
    fixture = arch_router(NOTHING_FITS, preferences=preferences)
    assert (await fixture.classifier.classify(conversation)).reason is reason
    assert fixture.backend.asked == []


async def test_a_question_without_an_answer_ends_at_the_deadline() -> None:
    fixture = arch_router(HANG, bounds=replace(BOUNDS, timeout_s=0.01))
    assert (await fixture.classifier.classify(HELLO)).reason is Reason.TIMEOUT
    assert fixture.backend.cancelled == 1


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        pytest.param(unreachable(), Reason.CLASSIFIER_ERROR, id="no connection"),
        pytest.param(failure(Failure.LOST), Reason.CLASSIFIER_ERROR, id="connection lost"),
        pytest.param(failure(Failure.STATUS), Reason.CLASSIFIER_ERROR, id="an HTTP error"),
        pytest.param(failure(Failure.UNREADABLE), Reason.MALFORMED, id="garbage"),
        pytest.param(HANG, Reason.TIMEOUT, id="no answer"),
    ],
)
async def test_a_server_that_keeps_failing_is_left_alone_and_then_tried_with_one_question(
    behaviour: Behaviour, reason: Reason
) -> None:
    timeout_s = 0.01 if behaviour is HANG else 60
    fixture = arch_router(behaviour, bounds=replace(BOUNDS, timeout_s=timeout_s))
    reasons = [(await fixture.classifier.classify(HELLO)).reason for _ in range(3)]
    assert reasons[0] is reason
    assert reasons[-1] is Reason.BREAKER_OPEN
    asked = len(fixture.backend.asked)

    fixture.clock.now_s += POLICY.first_pause_s
    fixture.backend.answers[FIRST] = [NOTHING_FITS]
    assert (await fixture.classifier.classify(HELLO)).reason is Reason.NO_ROUTE
    assert len(fixture.backend.asked) == asked + 1


@pytest.mark.parametrize(
    ("wrong", "times"),
    [
        pytest.param(Failure.REJECTED, 1, id="rejected"),
        pytest.param(Failure.TOO_LONG, 2, id="too long, at half its length too"),
    ],
)
async def test_a_question_the_server_finds_wrong_is_not_asked_elsewhere_and_shuts_nobody_out(
    wrong: Failure, times: int
) -> None:
    fixture = arch_router(failure(wrong), second=failure(wrong))
    for _ in range(2 * POLICY.failures + 2):
        fixture.backend.asked.clear()
        assert (await fixture.classifier.classify(HELLO)).reason is Reason.CLASSIFIER_ERROR
        ips = [ip for ip, _ in fixture.backend.asked]
        assert (len(ips), len(set(ips))) == (times, 1)


async def test_a_replica_that_fails_leaves_the_question_to_another() -> None:
    fixture = arch_router(failure(Failure.STATUS), second=matched("code"))
    for _ in range(6):
        assert (await fixture.classifier.classify(HELLO)).reason is Reason.MATCHED
    ips = [ip for ip, _ in fixture.backend.asked]
    assert ips.count(FIRST) == POLICY.failures
    assert ips.count(SECOND) == 6


async def test_a_kept_connection_that_was_closed_meanwhile_is_tried_once_more() -> None:
    fixture = arch_router(failure(Failure.LOST), matched("code"))
    assert (await fixture.classifier.classify(HELLO)).reason is Reason.MATCHED


async def test_there_are_two_tries_and_no_third() -> None:
    fixture = arch_router(failure(Failure.LOST), second=failure(Failure.LOST))
    assert (await fixture.classifier.classify(HELLO)).reason is Reason.CLASSIFIER_ERROR
    assert len(fixture.backend.asked) == 2


async def test_a_server_whose_name_is_not_known_is_an_error_of_the_classifier() -> None:
    fixture = arch_router(NOTHING_FITS)
    nowhere = Replicas(
        ["http://arch:8000"], lambda address: FakeServer(), resolver=Names(), policy=POLICY, clock=fixture.clock
    )
    classifier = ArchRouter(
        fixture.backend,
        nowhere,
        PREFERENCES,
        layout=load_layout(LayoutName.COMPACT),
        bounds=BOUNDS,
        cache=AnswerCache(ttl_s=0, entries=1),
    )
    assert (await classifier.classify(HELLO)).reason is Reason.CLASSIFIER_ERROR


async def test_identical_questions_at_once_are_asked_once() -> None:
    fixture = arch_router(HANG)
    asking = [asyncio.create_task(fixture.classifier.classify(HELLO)) for _ in range(5)]
    await fixture.backend.under_way.wait()
    fixture.backend.go_on.set()
    assert {answer.reason for answer in await asyncio.gather(*asking)} == {Reason.NO_ROUTE}
    assert len(fixture.backend.asked) == 1


async def test_more_questions_than_max_in_flight_are_turned_away_at_once_but_identical_ones_are_not() -> None:
    fixture = arch_router(HANG, bounds=replace(BOUNDS, max_in_flight=1))
    first = asyncio.create_task(fixture.classifier.classify(HELLO))
    await fixture.backend.under_way.wait()
    assert (await fixture.classifier.classify(say("something else"))).reason is Reason.OVERLOADED
    same = asyncio.create_task(fixture.classifier.classify(HELLO))
    fixture.backend.go_on.set()
    assert [(await task).reason for task in (first, same)] == [Reason.NO_ROUTE] * 2
    assert (await fixture.classifier.classify(say("something else"))).reason is Reason.NO_ROUTE


async def test_a_client_that_goes_away_cancels_its_question_and_says_nothing_about_the_server() -> None:
    fixture = arch_router(HANG)
    for _ in range(POLICY.failures + 1):
        fixture.backend.under_way.clear()
        asking = asyncio.create_task(fixture.classifier.classify(HELLO))
        await fixture.backend.under_way.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await fixture.classifier.aclose()
    assert fixture.backend.cancelled == POLICY.failures + 1
    assert fixture.replicas.known[0].in_flight == 0
    fixture.backend.answers[FIRST] = [NOTHING_FITS]
    assert (await fixture.classifier.classify(HELLO)).reason is Reason.NO_ROUTE


async def test_an_answer_is_remembered_for_its_time_and_a_failure_never() -> None:
    fixture = arch_router(matched("code", code=0.9), failure(Failure.STATUS), matched("poetry"), ttl_s=10)
    for _ in range(3):
        assert (await fixture.classifier.classify(HELLO)).route == "code"
    assert len(fixture.backend.asked) == 1
    fixture.clock.now_s += 10
    assert (await fixture.classifier.classify(HELLO)).reason is Reason.CLASSIFIER_ERROR
    assert (await fixture.classifier.classify(HELLO)).route == "poetry"


async def test_a_prompt_too_long_for_the_model_is_asked_again_at_half_its_length() -> None:
    fixture = arch_router(failure(Failure.TOO_LONG), matched("code"))
    assert (await fixture.classifier.classify(say("long " * 20_000))).route == "code"
    sizes = [len(prompt.encode()) for _, prompt in fixture.backend.asked]
    assert sizes[0] <= 8192 * BYTES_PER_TOKEN
    assert sizes[1] <= 4096 * BYTES_PER_TOKEN


async def test_the_served_tokenizers_special_tokens_are_kept_out_of_the_prompt() -> None:
    fixture = arch_router(NOTHING_FITS)
    await fixture.replicas.refresh()
    text = "<|im_end|> </s>"
    assert "\\u003c|im_end|> \\u003c/s>" in fixture.classifier.prompt(say(text))
    fixture.replicas.known[0].facts = Facts(SERVED, serves_model=True, special_tokens=frozenset({"</s>"}))
    assert "<|im_end|> \\u003c/s>" in fixture.classifier.prompt(say(text))
