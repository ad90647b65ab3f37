"""Between Envoy and the workers: who is asked, what happens when one dies, and what the filter must be told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from grpc_health.v1 import health_pb2

from router_service.config.models import Config
from router_service.config.service import UnixAddress
from tests.contract.conftest import Client
from tests.support.envoy import Envoy, write_rendered
from tests.support.ext_proc import ScriptedRouter
from tests.support.providers import Provider

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
HEALTHY = "cluster.router-service.membership_healthy"


@asynccontextmanager
async def data_plane(
    directory: Path, *workers: ScriptedRouter, edit: Callable[[dict[str, str]], None] = lambda _: None
) -> AsyncIterator[tuple[Client, Envoy]]:
    """An Envoy of its own in front of these workers, with one model."""
    async with Provider() as provider:
        config = Config.model_validate(
            {
                "listeners": [{"name": "egress", "address": "127.0.0.1"}],
                "model_providers": [{"model": "test/plain", "base_url": f"http://127.0.0.1:{provider.port}"}],
            }
        )
        write_rendered(config, directory, [worker.address for worker in workers], edit=edit)
        async with Envoy(directory) as envoy, aiohttp.ClientSession() as session:
            yield Client(session, f"http://127.0.0.1:{envoy.port('egress')}"), envoy


async def until(envoy: Envoy, stat: str, value: int) -> None:
    async with asyncio.timeout(20):
        while await asyncio.to_thread(envoy.stat, stat) != value:
            pass


async def statuses(client: Client, requests: int) -> Counter[int]:
    replies = await asyncio.gather(*(client.post("test/plain") for _ in range(requests)))
    return Counter(reply.status for reply in replies)


async def test_a_worker_that_dies_costs_no_request_that_comes_after(tmp_path: Path) -> None:
    async with ScriptedRouter() as dies, ScriptedRouter() as stays, data_plane(tmp_path, dies, stays) as (client, _):
        assert await statuses(client, 40) == {200: 40}
        assert dies.exchanges
        await dies.stop()
        assert await statuses(client, 200) == {200: 200}


async def test_a_worker_that_says_it_does_not_serve_gets_no_more_requests(tmp_path: Path) -> None:
    async with ScriptedRouter() as drains, ScriptedRouter() as stays, data_plane(tmp_path, drains, stays) as plane:
        client, envoy = plane
        await drains.set_health(NOT_SERVING)
        await until(envoy, HEALTHY, 1)
        drains.exchanges.clear()
        assert await statuses(client, 40) == {200: 40}
        assert drains.exchanges == []


async def test_without_a_worker_every_request_is_answered_503_until_one_is_back(tmp_path: Path) -> None:
    socket = tmp_path / "worker.sock"
    async with ScriptedRouter(f"unix:{socket}") as worker, data_plane(tmp_path / "envoy", worker) as (client, envoy):
        assert await statuses(client, 1) == {200: 1}
        await worker.stop()
        reply = await client.post("test/plain")
        assert (reply.status, reply.error["code"]) == (503, "router_unavailable")
        await until(envoy, HEALTHY, 0)
        assert (await client.request("GET", "/healthz")).status == 503
        async with ScriptedRouter(f"unix:{socket}"):
            await until(envoy, HEALTHY, 1)
            assert await statuses(client, 1) == {200: 1}
            assert (await client.request("GET", "/healthz")).status == 200


async def test_workers_are_reached_at_unix_sockets(tmp_path: Path) -> None:
    listen = [f"unix:{tmp_path}/w{number}.sock" for number in (0, 1)]
    async with ScriptedRouter(listen[0]) as one, ScriptedRouter(listen[1]) as two:
        assert isinstance(one.address, UnixAddress)
        async with data_plane(tmp_path / "envoy", one, two) as (client, _):
            assert await statuses(client, 40) == {200: 40}
            assert one.exchanges
            assert two.exchanges


def filter_edit(**fields: Any) -> Callable[[dict[str, str]], None]:
    """Our ext_proc filter with some of its fields replaced; None takes one away."""

    def edit(files: dict[str, str]) -> None:
        document = json.loads(files["lds.json"])
        manager = document["resources"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        found = next(each for each in manager["http_filters"] if each["name"].endswith("ext_proc"))
        found["typed_config"].update(fields)
        found["typed_config"] = {key: value for key, value in found["typed_config"].items() if value is not None}
        files["lds.json"] = json.dumps(document)

    return edit


async def test_with_request_headers_skipped_the_service_is_not_even_asked(tmp_path: Path) -> None:
    mode = {"request_header_mode": "SKIP", "request_body_mode": "BUFFERED", "response_header_mode": "SKIP"}
    async with ScriptedRouter() as worker:
        async with data_plane(tmp_path, worker, edit=filter_edit(processing_mode=mode)) as (client, _):
            assert await statuses(client, 1) == {503: 1}
        assert worker.exchanges == []


async def test_metadata_of_a_namespace_that_is_not_received_is_dropped(tmp_path: Path) -> None:
    async with (
        ScriptedRouter() as worker,
        data_plane(tmp_path, worker, edit=filter_edit(metadata_options=None)) as plane,
    ):
        reply = await plane[0].post("test/plain")
        assert reply.status == 200
        assert "x-router-model" not in reply.headers


async def test_envoy_waits_for_the_first_health_checks_before_it_listens(tmp_path: Path) -> None:
    async with ScriptedRouter() as one, ScriptedRouter() as two, data_plane(tmp_path, one, two) as (_, envoy):
        assert await asyncio.to_thread(envoy.stat, HEALTHY) == 2
