"""What others may ask of a running Envoy, and how it leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from router_service.config.models import Config
from router_service.config.service import TcpAddress
from router_service.dataplane.drain import EnvoyAdmin, drain
from tests.contract.conftest import Client, Reply
from tests.support.envoy import Envoy, write_rendered
from tests.support.ext_proc import ScriptedRouter
from tests.support.ports import free_port, refused_port
from tests.support.providers import Provider, Received, answer_ok


@dataclass(frozen=True, slots=True)
class Running:
    envoy: Envoy
    provider: Provider
    client: Client
    status: Client
    admin: EnvoyAdmin


@asynccontextmanager
async def running(directory: Path, *, router_is_up: bool = True) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Provider())
        router = (await stack.enter_async_context(ScriptedRouter())).address if router_is_up else None
        config = Config.model_validate(
            {
                "listeners": [{"address": "127.0.0.1"}],
                "model_providers": [{"model": "test/plain", "base_url": f"http://127.0.0.1:{provider.port}"}],
            }
        )
        admin_port = free_port()  # the status listener has to know it
        worker = TcpAddress("127.0.0.1", stack.enter_context(refused_port())) if router is None else router
        write_rendered(config, directory, [worker], status_admin_port=admin_port)
        envoy = await stack.enter_async_context(Envoy(directory, "--drain-time-s", "1"))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Running(
            envoy,
            provider,
            Client(session, f"http://127.0.0.1:{envoy.port('egress')}"),
            Client(session, f"http://127.0.0.1:{envoy.port('status')}"),
            EnvoyAdmin(admin_port),
        )


async def get(client: Client, path: str) -> Reply:
    return await client.request("GET", path)


async def test_metrics_are_envoys_own_in_prometheus_format(tmp_path: Path) -> None:
    async with running(tmp_path) as plane:
        await plane.client.post("test/plain")
        metrics = await get(plane.status, "/metrics")
    assert metrics.status == 200
    assert b'envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="egress"} 1' in metrics.body


async def test_it_is_ready_while_a_worker_is_healthy(tmp_path: Path) -> None:
    async with running(tmp_path) as plane:
        assert (await get(plane.status, "/readyz")).status == 200
        assert (await get(plane.status, "/livez")).status == 200


async def test_it_is_alive_but_not_ready_without_a_worker(tmp_path: Path) -> None:
    async with running(tmp_path, router_is_up=False) as plane:
        assert (await get(plane.status, "/readyz")).status == 503
        assert (await get(plane.status, "/livez")).status == 200


@pytest.mark.parametrize("path", ["/", "/quitquitquit", "/config_dump", "/stats", "/metrics/../quitquitquit"])
async def test_nothing_else_of_the_admin_is_passed_on(tmp_path: Path, path: str) -> None:
    async with running(tmp_path) as plane:
        assert (await plane.status.request("POST", path)).status == 404
        assert (await get(plane.status, path)).status == 404


async def test_a_drained_envoy_has_answered_everything_and_wants_nothing_new(tmp_path: Path) -> None:
    async with running(tmp_path) as plane:
        arrived, finish = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        waits = 0

        async def slow(request: web.Request, received: Received) -> web.StreamResponse:
            arrived.set()
            await finish.wait()
            return await answer_ok(request, received)

        def sleep(_: float) -> None:  # of the drain: it has seen the request under way; now that may end
            nonlocal waits
            waits += 1
            loop.call_soon_threadsafe(finish.set)

        plane.provider.respond = slow
        under_way = asyncio.create_task(plane.client.post("test/plain"))
        await arrived.wait()
        left = await asyncio.to_thread(drain, plane.admin, settle_s=0, timeout_s=60, clock=time.monotonic, sleep=sleep)
        assert (left, waits > 0) == (0, True)
        assert (await under_way).status == 200
        late = await plane.client.post("test/plain")  # from somebody who has not heard yet
        assert (late.status, late.headers["connection"]) == (200, "close")
        assert (await get(plane.status, "/readyz")).status == 503
