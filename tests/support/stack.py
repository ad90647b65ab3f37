"""The whole product as processes: installed routers, a real Envoy, a local provider behind it; and load on them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import aiohttp

from router_service.config.load import loads
from router_service.config.service import TcpAddress
from tests.support.envoy import Envoy, write_rendered
from tests.support.ports import free_port
from tests.support.processes import Child
from tests.support.providers import Provider

COMMAND = Path(sys.executable).with_name("router-service")

CONFIG = """
listeners: [{{address: 127.0.0.1}}]
model_providers:
  - {{model: test/plain, base_url: "http://127.0.0.1:{provider}", default: true}}
routing_preferences:
  - {{name: code, description: "new code written on request, functions, scripts and classes", models: [test/plain]}}
  - {{name: translation, description: "translation of texts from one language into another", models: [test/plain]}}
  - {{name: legal, description: "contracts and their clauses, tenancy and employment law", models: [test/plain]}}
router: {router}
service: {service}
"""


class Router:
    """One `router-service serve` of one worker, on its own port."""

    def __init__(self, config: Path) -> None:
        self.port = free_port()
        self._config = config
        self.child: Child | None = None

    def start(self) -> None:
        listen, admin = f"127.0.0.1:{self.port}", f"127.0.0.1:{free_port()}"
        self.child = Child(
            [COMMAND, "serve", self._config, "--listen", listen, "--admin", admin, "--log-level", "warning"]
        )

    async def stop(self) -> None:
        """SIGTERM, and until it has gone."""
        if self.child is not None:
            await asyncio.to_thread(self.child.stop)


@dataclass(frozen=True, slots=True)
class Stack:
    envoy: Envoy
    routers: Sequence[Router]
    provider: Provider
    url: str

    async def healthy_routers(self, number: int) -> None:
        """Until Envoy's health checks find so many routers serving."""
        gauge = "cluster.router-service.membership_healthy"
        await until(lambda: self.envoy.stat(gauge) == number, f"{number} healthy routers")


@asynccontextmanager
async def running_stack(
    directory: Path,
    *,
    routers: int,
    router: Mapping[str, object] = MappingProxyType({}),
    service: Mapping[str, object] = MappingProxyType({}),
) -> AsyncIterator[Stack]:
    """`router` and `service` are the configuration's sections of these names."""
    async with AsyncExitStack() as exits:
        provider = await exits.enter_async_context(Provider())
        text = CONFIG.format(provider=provider.port, router=json.dumps(dict(router)), service=json.dumps(dict(service)))
        (directory / "config.yaml").write_text(text)
        group = [Router(directory / "config.yaml") for _ in range(routers)]
        for one in group:
            one.start()
            exits.push_async_callback(one.stop)
        write_rendered(loads(text, {}).config, directory, [TcpAddress("127.0.0.1", router.port) for router in group])
        envoy = await exits.enter_async_context(Envoy(directory))
        stack = Stack(envoy, group, provider, f"http://127.0.0.1:{envoy.port('egress')}/v1/chat/completions")
        await stack.healthy_routers(routers)
        yield stack


async def until(holds: Callable[[], bool], what: str, *, tries: int = 600) -> None:
    """Another process' state has no event to wait for: asked every 50 ms."""
    for _ in range(tries):
        if await asyncio.to_thread(holds):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {what} after {tries} tries")


@dataclass(slots=True)
class Load:
    """Requests at a steady rate, whether or not the ones before have been answered; what became of each."""

    url: str
    rate: int
    body: bytes
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        return self.outcomes.total()

    @property
    def failed(self) -> int:
        return self.sent - self.outcomes["200"]

    async def run(self, *, until_set: asyncio.Event) -> None:
        """From now until the event, and until the last of them is answered."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            asyncio.TaskGroup() as requests,
        ):
            number = 0
            while not until_set.is_set():
                requests.create_task(self._request(session))
                number += 1
                await asyncio.sleep(max(0.0, started + number / self.rate - loop.time()))

    async def _request(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.post(self.url, data=self.body) as response:
                await response.read()
                self.outcomes[str(response.status)] += 1
        except (aiohttp.ClientError, OSError) as error:
            self.outcomes[type(error).__name__] += 1
