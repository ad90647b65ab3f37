"""A model that keeps failing is left out of pools for a while, without a request spent on it; what is asked anyway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from router_service._generated.ext_proc_pb2 import ProcessingResponse
from router_service.config.models import Config
from router_service.dataplane.clusters import FAILURES_IN_A_ROW
from tests.contract.conftest import Client, Reply
from tests.support.envoy import Envoy, write_rendered
from tests.support.ext_proc import Exchange, ScriptedRouter, route_to
from tests.support.ports import refused_port
from tests.support.providers import Provider, Received, Respond, answer_ok, answers, resets

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIOS = 24  # of providers, one for each test: what one leaves behind is nothing to the next
SHORT = 0  # the trio whose models are allowed back at once
LETTERS = ("a", "b", "c")
NOBODY_HOME = "127.0.0.3"


async def stays_silent(_: web.Request, __: Received) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@dataclass(slots=True)
class Running:
    envoy: Envoy
    router: ScriptedRouter
    client: Client
    provider: Provider
    small: Provider
    scripts: dict[str, Respond]
    fresh: Iterator[int]

    async def respond(self, request: web.Request, received: Received) -> web.StreamResponse:
        """As the test says of the model, which the path tells."""
        return await self.scripts.get(received.path.split("/")[1], answer_ok)(request, received)

    async def route_to(self, upstream: str) -> Reply:
        async def script(_: Exchange) -> ProcessingResponse:
            return route_to(upstream, sets={"x-router-model": "the first"})

        self.router.script = script
        return await self.client.post(body=b'{"model": "m"}')


@dataclass(slots=True)
class Trio:
    """A pool of three models, and what their providers do."""

    running: Running
    number: int

    def will(self, **scripts: Respond) -> None:
        """From now on: `a`, `b`, `c` are the pool's members in order."""
        self.running.scripts.update({f"{letter}{self.number}": script for letter, script in scripts.items()})

    async def post(self) -> Reply:
        return await self.running.route_to(f"pool/trio {self.number}")

    async def by_name(self, letter: str) -> Reply:
        return await self.running.route_to(f"model/{letter}{self.number}/m")

    async def fails(self, times: int = FAILURES_IN_A_ROW) -> None:
        """So many requests whose first attempt fails, at once."""
        await asyncio.gather(*(self.post() for _ in range(times)))
        self.requests()

    def requests(self) -> list[int]:
        """How many each provider got since last asked."""
        paths = [received.path.split("/")[1] for received in self.running.provider.received]
        self.running.provider.received.clear()
        return [paths.count(f"{letter}{self.number}") for letter in LETTERS]


def _config(provider: int, refused: int, small: int) -> Config:
    entries = [
        {"model": f"{letter}{number}/m", "base_url": f"http://127.0.0.1:{provider}/{letter}{number}"}
        for number in range(TRIOS)
        for letter in LETTERS
    ]
    entries += [
        {"model": "refusing/m", "base_url": f"http://127.0.0.1:{refused}"},
        {"model": "small/m", "base_url": f"http://127.0.0.1:{small}"},
        {"model": "twice/m", "base_url": f"http://{NOBODY_HOME}:{provider}/twice"},
    ]
    pools = {f"trio {number}": [f"{letter}{number}/m" for letter in LETTERS] for number in range(TRIOS)}
    pools |= {"refused": ["refusing/m", "a1/m"], "small": ["small/m", "a1/m"], "nobody": ["a1/m", "refusing/m"]}
    return Config.model_validate(
        {
            "listeners": [{"name": "egress", "address": "127.0.0.1"}],
            "limits": {"upstream_idle_timeout": "1s"},
            "model_providers": entries,
            "routing_preferences": [
                {"name": name, "description": "requests of this kind", "models": models}
                for name, models in pools.items()
            ],
        }
    )


def _edit(files: dict[str, str], provider: int, small: int) -> None:
    """One trio whose first model is left alone for 0.2 s; a provider that takes one request at a time; another with two
    addresses, as a name can lead to.
    """
    discovery = json.loads(files["cds.json"])
    clusters = {cluster["name"]: cluster for cluster in discovery["resources"]}
    clusters[f"member/a{SHORT}/m"]["outlier_detection"] |= {"interval": "0.05s", "base_ejection_time": "0.2s"}
    clusters[f"provider/http/127.0.0.1:{small}"]["circuit_breakers"]["thresholds"][0]["max_requests"] = 1
    endpoints = clusters[f"provider/http/{NOBODY_HOME}:{provider}"]["load_assignment"]["endpoints"][0]["lb_endpoints"]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": provider}}
    endpoints.append({"endpoint": {"address": address}})
    files["cds.json"] = json.dumps(discovery)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    directory = tmp_path_factory.mktemp("failing")
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Provider())
        small = await stack.enter_async_context(Provider())
        router = await stack.enter_async_context(ScriptedRouter())
        refused = stack.enter_context(refused_port())
        config = _config(provider.port, refused, small.port)
        write_rendered(config, directory, [router.address], edit=lambda files: _edit(files, provider.port, small.port))
        envoy = await stack.enter_async_context(Envoy(directory))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = Client(session, f"http://127.0.0.1:{envoy.port('egress')}")
        running = Running(envoy, router, client, provider, small, {}, iter(range(1, TRIOS)))
        provider.respond = running.respond
        yield running


@pytest.fixture
def trio(running: Running) -> Trio:
    running.provider.received.clear()
    return Trio(running, next(running.fresh))


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answers(500), id="500"),
        pytest.param(answers(529), id="529, as Anthropic says overloaded"),
        pytest.param(resets, id="a reset"),
        pytest.param(stays_silent, id="silence"),
    ],
)
async def test_after_five_failures_in_a_row_no_request_is_spent_on_it(trio: Trio, script: Respond) -> None:
    trio.will(a=script)
    await trio.fails()
    reply = await trio.post()
    assert (reply.status, trio.requests()) == (200, [0, 1, 0])
    assert (reply.headers["x-router-served-by"], reply.headers["x-router-attempts"]) == (f"b{trio.number}/m", "1")


async def test_a_model_whose_provider_refuses_is_left_out_too(running: Running) -> None:
    for _ in range(FAILURES_IN_A_ROW):
        assert (await running.route_to("pool/refused")).headers["x-router-attempts"] == "2"
    assert (await running.route_to("pool/refused")).headers["x-router-attempts"] == "1"


async def test_four_failures_and_a_success_are_bad_luck(trio: Trio) -> None:
    for _ in range(2):
        trio.will(a=answers(500))
        await trio.fails(FAILURES_IN_A_ROW - 1)
        trio.will(a=answer_ok)
        await trio.post()
        assert trio.requests() == [1, 0, 0]


async def test_a_rate_limit_is_no_failure(trio: Trio) -> None:
    trio.will(a=answers(429))
    await trio.fails(2 * FAILURES_IN_A_ROW)
    reply = await trio.post()
    assert (reply.status, trio.requests()) == (200, [1, 1, 0])


async def test_a_model_that_is_left_alone_is_asked_again_after_its_time(running: Running) -> None:
    trio = Trio(running, SHORT)
    trio.will(a=answers(500))
    await trio.fails()
    trio.will(a=answer_ok)
    async with asyncio.timeout(20):
        while (await trio.post()).headers["x-router-served-by"] != f"a{SHORT}/m":
            pass


async def test_asked_for_by_name_it_answers_for_itself(trio: Trio) -> None:
    trio.will(a=answers(500))
    await trio.fails()
    trio.will(a=answers(500, "as the provider said it"))
    reply = await trio.by_name("a")
    assert (reply.status, reply.body, trio.requests()) == (500, b"as the provider said it", [1, 0, 0])


async def test_a_model_that_fails_by_name_only_stays_in_its_pools(trio: Trio) -> None:
    """Where nobody else answers, clients ask again and again; what they met says little of the next request."""
    trio.will(a=answers(500))
    for _ in range(FAILURES_IN_A_ROW):
        await trio.by_name("a")
    trio.will(a=answer_ok)
    trio.requests()
    await trio.post()
    assert trio.requests() == [1, 0, 0]


@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param(answers(429, retry_after="7"), 429, id="429"),
        pytest.param(answers(500), 500, id="500"),
        pytest.param(resets, 503, id="a reset"),
        pytest.param(stays_silent, 504, id="silence"),
    ],
)
async def test_when_all_are_left_alone_the_last_is_asked_and_once_only(
    trio: Trio, script: Respond, status: int
) -> None:
    trio.will(a=answers(500), b=answers(500))
    await trio.fails()
    await trio.fails()
    trio.will(c=script)
    reply = await trio.post()
    assert (reply.status, trio.requests()) == (status, [0, 0, 1])
    assert (reply.headers["x-router-served-by"], reply.headers["x-router-attempts"]) == (f"c{trio.number}/m", "1")


async def test_the_last_is_asked_once_only_where_it_refuses(running: Running) -> None:
    running.scripts["a1"] = answers(500)
    for _ in range(FAILURES_IN_A_ROW):
        await running.route_to("pool/nobody")
    reply = await running.route_to("pool/nobody")
    del running.scripts["a1"]
    assert (reply.error["code"], reply.headers["x-router-attempts"]) == ("upstream_unavailable", "1")


async def test_no_attempt_is_lost_on_one_that_is_left_alone(trio: Trio) -> None:
    """The attempts are as many as the pool has members, so one of those left may be asked twice."""
    trio.will(a=answers(500))
    await trio.fails()
    trio.will(b=answers(429))
    reply = await trio.post()
    assert (reply.status, reply.headers["x-router-served-by"]) == (200, f"c{trio.number}/m")
    assert (reply.headers["x-router-attempts"], trio.requests()) == ("3", [0, 2, 1])


async def test_a_providers_own_envoy_that_limits_rates_does_not_end_the_search(trio: Trio) -> None:
    trio.will(a=answers(429, x_envoy_ratelimited="true"))
    reply = await trio.post()
    assert (reply.status, trio.requests()) == (200, [1, 1, 0])


@pytest.mark.parametrize("letter", LETTERS)
async def test_what_envoy_tells_itself_of_retries_never_reaches_a_client(trio: Trio, letter: str) -> None:
    trio.will(**{letter: answers(429, x_envoy_ratelimited="true")})
    assert "x-envoy-ratelimited" not in (await trio.by_name(letter)).headers
    assert "x-envoy-ratelimited" not in (await trio.post()).headers


async def test_a_provider_that_is_full_passes_the_request_on_and_says_so_by_name(running: Running) -> None:
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def holds(request: web.Request, received: Received) -> web.StreamResponse:
        arrived.set()
        await go_on.wait()
        return await answer_ok(request, received)

    running.small.respond = holds
    first = asyncio.create_task(running.route_to("model/small/m"))
    async with asyncio.timeout(20):
        await arrived.wait()
    by_name = await running.route_to("model/small/m")
    in_pool = await running.route_to("pool/small")
    go_on.set()
    assert (by_name.status, by_name.error["code"]) == (503, "upstream_overloaded")
    assert (in_pool.status, in_pool.headers["x-router-served-by"]) == (200, "a1/m")
    assert (await first).status == 200
    assert len(running.small.received) == 1


async def test_of_a_providers_addresses_the_one_that_refuses_is_left_alone(running: Running) -> None:
    cluster = f"cluster.provider/http/{NOBODY_HOME.replace('.', '_')}_{running.provider.port}"

    def stat(name: str) -> int:
        return running.envoy.stat(f"{cluster}.{name}")

    for _ in range(200):  # the balancer picks by chance
        assert (await running.route_to("model/twice/m")).status == 200
        if await asyncio.to_thread(stat, "outlier_detection.ejections_active"):
            break
    assert await asyncio.to_thread(stat, "upstream_cx_connect_fail") == FAILURES_IN_A_ROW
    for _ in range(20):
        assert (await running.route_to("model/twice/m")).status == 200
    assert await asyncio.to_thread(stat, "upstream_cx_connect_fail") == FAILURES_IN_A_ROW
