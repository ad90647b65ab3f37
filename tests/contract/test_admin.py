"""Metrics and health over HTTP, and the workers' health over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry, Counter

from router_service.admin import PAGES, build_admin, serve_admin
from router_service.config.service import TcpAddress, UnixAddress
from router_service.errors import SetupError
from router_service.extproc.servicer import SERVICE_NAME
from router_service.health import Component, WorkerHealth

LOOPBACK = TcpAddress("127.0.0.1", 0)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def admin(*workers: Component, stopping: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of an admin server whose workers are as said."""
    registry = CollectorRegistry()
    Counter("router_test_total", "Counted.", registry=registry).inc()

    async def check() -> Sequence[Component]:
        return workers

    app = build_admin(registry, check, lambda: stopping)
    async with serve_admin(app, LOOPBACK) as address, aiohttp.ClientSession(f"http://{address}") as session:
        yield session


async def get(session: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with session.get(path) as response:
        return response.status, await response.text()


UP, DOWN = Component("worker-0"), Component("worker-1", "not reachable")


@pytest.mark.parametrize(
    ("workers", "stopping", "path", "status", "text"),
    [
        pytest.param([UP], False, "/readyz", 200, "ok\n", id="ready"),
        pytest.param(
            [UP],
            False,
            "/readyz?verbose",
            200,
            "[+]worker-0 ok\n[+]shutdown ok\nreadyz check passed\n",
            id="ready, in words",
        ),
        pytest.param(
            [UP, DOWN],
            False,
            "/readyz?verbose",
            200,
            "[+]worker-0 ok\n[-]worker-1 not reachable\n[+]shutdown ok\nreadyz check passed\n",
            id="one worker is enough",
        ),
        pytest.param(
            [DOWN],
            False,
            "/readyz",
            503,
            "[-]worker-1 not reachable\n[+]shutdown ok\nreadyz check failed\n",
            id="not ready",
        ),
        pytest.param(
            [UP],
            True,
            "/readyz",
            503,
            "[+]worker-0 ok\n[-]shutdown in progress\nreadyz check failed\n",
            id="stopping",
        ),
        pytest.param([DOWN], True, "/livez", 200, "ok\n", id="alive without workers"),
        pytest.param([UP], False, "/livez?verbose", 200, "[+]ping ok\nlivez check passed\n", id="alive, in words"),
    ],
)
async def test_health_is_told_as_kubernetes_tells_it(
    workers: list[Component], stopping: bool, path: str, status: int, text: str
) -> None:
    async with admin(*workers, stopping=stopping) as session:
        assert await get(session, path) == (status, text)


async def test_metrics_come_in_prometheus_format() -> None:
    async with admin() as session:
        status, text = await get(session, "/metrics")

    assert status == 200
    assert "# TYPE router_test_total counter\nrouter_test_total 1.0\n" in text


async def test_openmetrics_comes_if_asked_for() -> None:
    headers = {"accept": "application/openmetrics-text; version=1.0.0"}
    async with admin() as session, session.get("/metrics", headers=headers) as response:
        assert response.content_type == "application/openmetrics-text"
        assert (await response.text()).endswith("# EOF\n")


async def test_the_front_page_links_to_every_page_and_each_answers() -> None:
    async with admin(UP) as session:
        _, page = await get(session, "/")
        for path, _ in PAGES:
            assert f'href="{path}"' in page
            assert (await get(session, path))[0] == 200


async def test_anything_else_is_not_found() -> None:
    async with admin() as session:
        assert (await get(session, "/debug"))[0] == 404


async def test_an_address_in_use_is_named_with_what_to_do() -> None:
    async with admin() as session:
        assert session._base_url is not None
        taken = TcpAddress("127.0.0.1", session._base_url.port or 0)
        with pytest.raises(SetupError) as refused:
            async with serve_admin(build_admin(CollectorRegistry(), asyncio.Future, bool), taken):
                pass

    assert str(refused.value) == (
        f"Cannot serve metrics and health on {taken}: Address already in use; "
        "choose another with --admin or service.admin."
    )


class Silent(health_pb2_grpc.HealthServicer):  # type: ignore[misc] # generated without types
    """Never answers."""

    async def Check(self, request: object, context: object) -> health_pb2.HealthCheckResponse:  # noqa: N802 gRPC's name
        await asyncio.Event().wait()
        raise AssertionError


@asynccontextmanager
async def worker(path: Path, servicer: health_pb2_grpc.HealthServicer) -> AsyncIterator[UnixAddress]:
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    address = UnixAddress(str(path))
    server.add_insecure_port(str(address))
    await server.start()
    try:
        yield address
    finally:
        await server.stop(grace=None)


async def with_state(state: int) -> health.aio.HealthServicer:
    servicer = health.aio.HealthServicer()
    await servicer.set(SERVICE_NAME, state)
    return servicer


@pytest.fixture
def directory() -> Iterator[Path]:
    with TemporaryDirectory(prefix="rs-") as name:  # pytest's own directories are too long for a socket's path
        yield Path(name)


async def test_each_worker_is_asked_for_the_service_that_envoy_calls(directory: Path) -> None:
    async with (
        worker(directory / "0", await with_state(SERVING)) as serving,
        worker(directory / "1", await with_state(NOT_SERVING)) as draining,
        worker(directory / "2", health.aio.HealthServicer()) as other,
        worker(directory / "3", Silent()) as silent,
        WorkerHealth([serving, draining, other, silent, UnixAddress(str(directory / "4"))]) as workers,
    ):
        assert await workers.check() == (
            Component("worker-0"),
            Component("worker-1", "not serving"),
            Component("worker-2", "not found"),
            Component("worker-3", "no answer within 1 s"),
            Component("worker-4", "not reachable"),
        )


async def test_a_worker_that_comes_back_is_found(directory: Path) -> None:
    address = UnixAddress(str(directory / "0"))
    async with WorkerHealth([address]) as workers:
        assert await workers.check() == (Component("worker-0", "not reachable"),)
        async with worker(directory / "0", await with_state(SERVING)):
            while (await workers.check())[0].problem is not None:  # the channel connects again by itself
                pass
