"""Selection policies through a real Envoy: what ranks first is tried first, and failing over goes on in that order."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from router_service.config.load import loads
from router_service.config.service import UnixAddress
from router_service.selection.opening import Selection, kept_up_to_date, open_selection
from router_service.waiting import poll_until
from tests.contract.conftest import Client, Reply
from tests.support.envoy import Envoy, never_left_alone, write_rendered
from tests.support.providers import Provider, Received, answer_ok, answers
from tests.support.stack import until
from tests.support.worker import Counts, Names, start_worker
from tests.unit.selection.test_poller import Told, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS = "abcdexyz"
CHAT = b'{"model": "%s", "messages": [{"role": "user", "content": "hello"}]}'
CONFIG = """
listeners: [{{address: 127.0.0.1}}]
model_providers:
{providers}
model_aliases:
  "cheap ünd gut": {{targets: [p/a, p/b, p/c], selection_policy: {{prefer: cheapest}}}}
  fast: {{targets: [p/x, p/y, p/z], selection_policy: {{prefer: fastest}}}}
  lot: {{targets: [p/a, p/b], selection_policy: {{prefer: random, weights: {{p/a: 1, p/b: 3}}}}}}
  long: {{targets: [p/a, p/b, p/c, p/d, p/e], selection_policy: {{prefer: cheapest}}}}
model_metrics_sources:
  - {{type: cost, file: prices.yaml}}
  - {{type: latency, provider: envoy, url: "http://127.0.0.1:1"}}
service: {{drain_delay: 0s, drain_timeout: 1s}}
"""


@dataclass(slots=True)
class Ranked:
    """Envoy, a real worker with its sources, and a provider for each model."""

    envoy: Envoy
    client: Client
    selection: Selection
    told: Counts
    providers: Sequence[Provider]
    prices: Path

    async def post(self, model: str) -> Reply:
        return await self.client.post(body=CHAT.replace(b"%s", model.encode()))

    async def price(self, text: str) -> None:
        """Another file of prices, renamed over the one before, until it has been read."""
        before = self.selection.standings
        write(self.prices, text)
        await until(lambda: self.selection.standings.prices != before.prices, "other prices")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_ranked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ranked]:
    directory = tmp_path_factory.mktemp("selection")
    prices = directory / "prices.yaml"
    write(prices, "p/a: 9")
    async with AsyncExitStack() as stack:
        providers = [await stack.enter_async_context(Provider()) for _ in MODELS]
        entries = "\n".join(
            f'  - {{model: p/{id_}, base_url: "http://127.0.0.1:{provider.port}"}}'
            for id_, provider in zip(MODELS, providers, strict=True)
        )
        loaded = loads(CONFIG.format(providers=entries), {}, file=str(directory / "config.yaml"))

        def often(files: dict[str, str]) -> None:
            """Envoy sums its histograms up every five seconds."""
            never_left_alone(files)
            files["bootstrap.json"] = json.dumps(
                {**json.loads(files["bootstrap.json"]), "stats_flush_interval": "0.1s"}
            )

        write_rendered(loaded.config, directory, [UnixAddress(f"{directory}/worker.sock")], edit=often)
        envoy = await stack.enter_async_context(Envoy(directory))
        costs, latencies = loaded.config.model_metrics_sources
        at_envoy = latencies.model_copy(update={"url": envoy.admin})
        config = loaded.config.model_copy(update={"model_metrics_sources": [costs, at_envoy]})
        selection = await stack.enter_async_context(open_selection(config, loaded.catalog, Told()))
        await stack.enter_async_context(kept_up_to_date(selection))
        told = Counts()
        await start_worker(stack, config, directory, Names("unused"), told, standings=lambda: selection.standings)
        await until(lambda: envoy.stat("cluster.router-service.membership_healthy") == 1, "a healthy worker")
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        client = Client(session, f"http://127.0.0.1:{envoy.port('egress')}")
        yield Ranked(envoy, client, selection, told, providers, prices)


@pytest.fixture
def ranked(running_ranked: Ranked) -> Ranked:
    running_ranked.told.decisions.clear()
    for provider in running_ranked.providers:
        provider.respond = answer_ok
        provider.received.clear()
    return running_ranked


async def test_the_cheapest_is_tried_first_and_another_file_of_prices_changes_that_without_a_restart(
    ranked: Ranked,
) -> None:
    await ranked.price("p/a: {input: 3, output: 15}\np/b: {input: 0.3, output: 1.5}\np/c: {input: 1, output: 5}")
    first = await ranked.post("cheap ünd gut")
    await ranked.price("p/a: {input: 3, output: 15}\np/b: {input: 30, output: 150}\np/c: {input: 1, output: 5}")
    second = await ranked.post("cheap ünd gut")
    assert [(reply.status, reply.headers["x-router-served-by"]) for reply in (first, second)] == [
        (200, "p/b"),
        (200, "p/c"),
    ]
    assert [decision.upstream for decision in ranked.told.decisions] == [
        "alias/cheap ünd gut~1.2.0",
        "alias/cheap ünd gut~2.0.1",
    ]


async def test_failing_over_goes_on_in_the_order_of_the_prices_with_each_models_own_id(ranked: Ranked) -> None:
    await ranked.price("p/a: 2\np/b: 3\np/c: 1")
    ranked.providers[2].respond = answers(503)
    ranked.providers[0].respond = answers(429)
    reply = await ranked.post("cheap ünd gut")
    assert (reply.status, reply.headers["x-router-served-by"], reply.headers["x-router-attempts"]) == (200, "p/b", "3")
    assert reply.headers["x-router-model"] == "p/c"
    assert [len(provider.received) for provider in ranked.providers[:3]] == [1, 1, 1]
    assert [json.loads(provider.last.body)["model"] for provider in ranked.providers[:3]] == ["a", "b", "c"]


async def test_as_many_are_tried_as_there_are_and_the_last_answer_is_the_clients(ranked: Ranked) -> None:
    await ranked.price("p/a: 3\np/b: 2\np/c: 1")
    for provider, status in zip(ranked.providers, (501, 502, 503, 504, 505), strict=False):
        provider.respond = answers(status)
    replies = [await ranked.post(model) for model in ("cheap ünd gut", "long")]
    assert [(reply.status, reply.headers["x-router-attempts"]) for reply in replies] == [(501, "3"), (505, "5")]


async def test_in_a_long_pool_the_cheapest_is_first_and_the_others_follow_as_written(ranked: Ranked) -> None:
    await ranked.price("p/d: 1\np/e: 2")
    ranked.providers[3].respond = answers(503)
    reply = await ranked.post("long")
    assert (reply.headers["x-router-model"], reply.headers["x-router-served-by"]) == ("p/d", "p/a")


async def test_models_are_drawn_by_their_weights_and_the_other_follows(ranked: Ranked) -> None:
    ranked.providers[1].respond = answers(503)
    replies = [await ranked.post("lot") for _ in range(60)]
    assert {reply.headers["x-router-served-by"] for reply in replies} == {"p/a"}
    drawn = Counter(decision.target.model for decision in ranked.told.decisions)
    assert drawn["p/b"] > drawn["p/a"] > 0


async def test_the_fastest_by_envoys_own_histogram_is_tried_first_and_refusals_do_not_count(ranked: Ranked) -> None:
    async def slowly(request: web.Request, received: Received) -> web.StreamResponse:
        await asyncio.sleep(0.3)  # what is measured
        return await answer_ok(request, received)

    latencies = ranked.selection.latencies
    assert latencies is not None
    slow, _, refusing = ranked.providers[5:]
    slow.respond, refusing.respond = slowly, answers(429)
    await asyncio.gather(*(ranked.post(f"p/{id_}") for id_ in "xyz" for _ in range(20)))

    async def both_are_measured() -> bool:
        await latencies.poll()
        return latencies.numbers.keys() >= {"p/x", "p/y"}

    await poll_until(both_are_measured)
    assert latencies.numbers["p/x"] > 0.25 > latencies.numbers["p/y"]
    assert "p/z" not in latencies.numbers

    ranked.told.decisions.clear()
    replies = await asyncio.gather(*(ranked.post("fast") for _ in range(40)))
    assert {reply.headers["x-router-served-by"] for reply in replies} == {"p/y"}
    firsts = Counter(decision.target.model for decision in ranked.told.decisions)
    assert firsts["p/y"] > 20
    assert firsts["p/x"] == 0
