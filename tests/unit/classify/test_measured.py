"""A measured classifier answers what it is told, and tells how long it took, even when the client goes away."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from router_service.classify.measured import MeasuredClassifier
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import Classification, Reason
from router_service.telemetry.metrics import Metrics

POEM = Conversation((Turn("user", "write a poem"),))


class Held:
    """Answers when told to."""

    backend = "vllm"

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[Classification] = asyncio.get_running_loop().create_future()
        self.closed = False

    async def classify(self, conversation: Conversation) -> Classification:
        self.asked.set()
        return await self.answer

    async def aclose(self) -> None:
        self.closed = True


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


async def test_a_classification_is_in_flight_until_it_answers_and_then_timed(registry: CollectorRegistry) -> None:
    held = Held()
    measured = MeasuredClassifier(held, Metrics(registry))
    task = asyncio.create_task(measured.classify(POEM))
    await held.asked.wait()
    assert registry.get_sample_value("router_classifications_in_flight") == 1

    answer = Classification(Reason.NO_ROUTE, backend="vllm", latency_s=0.25)
    held.answer.set_result(answer)

    assert await task is answer
    assert registry.get_sample_value("router_classifications_in_flight") == 0
    labels = {"backend": "vllm", "reason": "no_route"}
    assert registry.get_sample_value("router_classification_seconds_sum", labels) == 0.25


async def test_a_cancelled_classification_is_in_flight_no_more_and_not_timed(registry: CollectorRegistry) -> None:
    held = Held()
    task = asyncio.create_task(MeasuredClassifier(held, Metrics(registry)).classify(POEM))
    await held.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert registry.get_sample_value("router_classifications_in_flight") == 0
    assert "router_classification_seconds_sum" not in {s.name for m in registry.collect() for s in m.samples}


async def test_it_has_the_backend_and_the_end_of_what_it_measures(registry: CollectorRegistry) -> None:
    held = Held()
    measured = MeasuredClassifier(held, Metrics(registry))
    await measured.aclose()

    assert measured.backend == "vllm"
    assert held.closed
