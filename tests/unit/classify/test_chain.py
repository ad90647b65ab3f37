"""Who is asked, in which order and for how long; and what the answer says about those who failed."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from router_service.classify.chain import Chain, first_share_s
from router_service.routing.decision import ANSWERED, Classification, Reason
from router_service.telemetry.metrics import Metrics
from tests.unit.classify.fakes import HELLO, Clock, FakeClassifier

MATCHED = Classification(Reason.MATCHED, route="code", confidence=0.9, backend="vllm")
EMBEDDED = Classification(Reason.NO_ROUTE, backend="embedded")


@pytest.mark.parametrize("reason", sorted(ANSWERED))
async def test_the_first_that_answers_is_heard_whatever_it_says(reason: Reason) -> None:
    first = FakeClassifier(Classification(reason, route="code" if reason is Reason.MATCHED else None, backend="vllm"))
    second = FakeClassifier(EMBEDDED)
    answer = await Chain([first, second], timeout_s=60).classify(HELLO)
    assert (answer.reason, answer.backend, answer.failed) == (reason, "vllm", None)
    assert second.asked == 0


@pytest.mark.parametrize("reason", sorted(set(Reason) - ANSWERED - {Reason.REQUESTED}))
async def test_the_next_answers_for_one_that_failed_and_says_why(reason: Reason) -> None:
    chain = Chain([FakeClassifier(Classification(reason, backend="vllm")), FakeClassifier(EMBEDDED)], timeout_s=60)
    answer = await chain.classify(HELLO)
    assert (answer.reason, answer.backend, answer.failed) == (Reason.NO_ROUTE, "embedded", reason)


async def test_when_all_fail_the_last_ones_reason_stands_beside_the_first_ones() -> None:
    reasons = (Reason.BREAKER_OPEN, Reason.MALFORMED, Reason.CLASSIFIER_ERROR)
    chain = Chain([FakeClassifier(Classification(reason)) for reason in reasons], timeout_s=60)
    answer = await chain.classify(HELLO)
    assert (answer.reason, answer.failed) == (Reason.CLASSIFIER_ERROR, Reason.BREAKER_OPEN)


async def test_one_classifier_is_a_chain() -> None:
    chain = Chain([FakeClassifier(Classification(Reason.TIMEOUT, backend="vllm"))], timeout_s=60)
    answer = await chain.classify(HELLO)
    assert (chain.backend, answer.reason, answer.failed) == ("fake", Reason.TIMEOUT, None)


async def test_the_deadline_is_one_for_all_and_cancels_who_is_late() -> None:
    first, second = FakeClassifier(None, "vllm"), FakeClassifier(None, "embedded")
    answer = await Chain([first, second], timeout_s=0.01).classify(HELLO)
    assert (answer.reason, answer.backend, answer.failed) == (Reason.TIMEOUT, "embedded", Reason.TIMEOUT)
    assert (first.cancelled, second.asked) == (True, 1)


async def test_a_client_that_goes_away_takes_its_question_along() -> None:
    first, second = FakeClassifier(None), FakeClassifier(EMBEDDED)
    asking = asyncio.create_task(Chain([first, second], timeout_s=60).classify(HELLO))
    await first.under_way.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (first.cancelled, second.asked) == (True, 0)


async def test_the_latency_covers_everyone_who_was_asked() -> None:
    clock = Clock()

    class Slow(FakeClassifier):
        async def classify(self, conversation: object) -> Classification:
            clock.now_s += 2
            return Classification(Reason.MALFORMED, latency_s=1.0)

    answer = await Chain([Slow(None), Slow(None)], timeout_s=60, clock=clock).classify(HELLO)
    assert answer.latency_s == 4


async def test_closing_the_chain_closes_everyone() -> None:
    classifiers = [FakeClassifier(MATCHED), FakeClassifier(EMBEDDED)]
    await Chain(classifiers, timeout_s=1).aclose()
    assert all(classifier.closed for classifier in classifiers)


@pytest.mark.parametrize(
    ("timeout_s", "share_s"),
    [pytest.param(0.5, 0.4, id="a tenth of a second is kept"), pytest.param(0.1, 0.08, id="or a fifth of a short one")],
)
def test_the_first_classifier_leaves_time_for_the_next(timeout_s: float, share_s: float) -> None:
    assert first_share_s(timeout_s) == pytest.approx(share_s)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def timed(registry: CollectorRegistry, backend: str, reason: Reason) -> float | None:
    labels = {"backend": backend, "reason": reason}
    return registry.get_sample_value("router_classification_seconds_sum", labels)


async def test_each_that_was_asked_is_timed_under_its_own_reason(registry: CollectorRegistry) -> None:
    failed = Classification(Reason.BREAKER_OPEN, backend="vllm", latency_s=0.25)
    answered = Classification(Reason.NO_ROUTE, backend="embedded", latency_s=0.5)
    chain = Chain([FakeClassifier(failed), FakeClassifier(answered)], timeout_s=60, meter=Metrics(registry))
    await chain.classify(HELLO)

    assert timed(registry, "vllm", Reason.BREAKER_OPEN) == 0.25
    assert timed(registry, "embedded", Reason.NO_ROUTE) == 0.5


async def test_one_that_is_too_late_is_timed_as_such(registry: CollectorRegistry) -> None:
    chain = Chain([FakeClassifier(None, "embedded")], timeout_s=0.01, meter=Metrics(registry))
    await chain.classify(HELLO)

    seconds = timed(registry, "embedded", Reason.TIMEOUT)
    assert seconds is not None
    assert seconds > 0


async def test_one_under_way_is_in_flight_until_its_client_goes_away(registry: CollectorRegistry) -> None:
    held = FakeClassifier(None)
    asking = asyncio.create_task(Chain([held], timeout_s=60, meter=Metrics(registry)).classify(HELLO))
    await held.under_way.wait()
    assert registry.get_sample_value("router_classifications_in_flight") == 1
    asking.cancel()
    await asyncio.wait([asking])

    assert registry.get_sample_value("router_classifications_in_flight") == 0
    assert "router_classification_seconds_sum" not in {s.name for m in registry.collect() for s in m.samples}
