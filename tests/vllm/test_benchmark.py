"""The benchmark runs: every way of asking is answered and counted, on the tiny model."""

from __future__ import annotations

import pytest

from benchmarks.classify import AGAIN, NEW, measure, ratios
from benchmarks.classify_ways import CHOICE, NAIVE, OURS, SCHEMA, SINGLE
from tests.vllm.server import VllmServer

pytestmark = pytest.mark.timeout(900)  # vLLM may have to start


async def test_every_way_of_asking_is_measured_under_both_loads(vllm: VllmServer) -> None:
    costs = await measure(vllm, preferences=[4], concurrencies=[1, 2], questions=1)
    assert [(cost.concurrency, cost.way, cost.load, cost.questions) for cost in costs] == [
        (concurrency, way, load, concurrency)
        for concurrency in (1, 2)
        for way in (NAIVE, SCHEMA, CHOICE, OURS, SINGLE)
        for load in (NEW, AGAIN)
    ]
    assert all(0 < cost.p50_ms <= cost.p99_ms for cost in costs)
    assert {cost.decoded_tokens for cost in costs if cost.way == SINGLE} == {1}
    assert all(cost.cached > 0 for cost in costs if cost.load == AGAIN)
    assert len(ratios(costs)) == 4
