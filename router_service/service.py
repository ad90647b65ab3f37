"""The supervisor process put together: worker processes, their health, and the admin server.

`serve` is this and nothing else; `up` adds an Envoy and demo providers around it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from router_service.admin import build_admin, serve_admin
from router_service.config.service import Address, TcpAddress
from router_service.health import WorkerHealth
from router_service.supervisor import Supervisor
from router_service.telemetry.logs import Log, LogSettings
from router_service.telemetry.metrics import ServiceMetrics
from router_service.waiting import poll_until, stop_signal


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """What to run. `config` is the file that the workers load; one worker per address."""

    config: Path
    addresses: tuple[Address, ...]
    admin: TcpAddress
    drain_s: float
    logs: LogSettings
    reflection: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A service that has been started."""

    admin: TcpAddress
    failure: asyncio.Future[int]
    _health: WorkerHealth

    async def ready(self) -> None:
        """Return once every worker takes requests. May wait forever: bound it, and watch `failure`."""
        await poll_until(self._all_serve)

    async def problems(self) -> tuple[str, ...]:
        """What keeps the service from being ready: `worker-0 not reachable`."""
        return tuple(f"{worker.name} {worker.problem}" for worker in await self._health.check() if worker.problem)

    async def _all_serve(self) -> bool:
        return not await self.problems()


@asynccontextmanager
async def start_service(plan: ServicePlan, log: Log) -> AsyncIterator[Service]:
    """Run it inside the block; at its end workers drain, unless another signal comes. Raises SetupError."""
    with TemporaryDirectory(prefix="router-service-metrics-") as directory:
        metrics = ServiceMetrics(Path(directory))
        supervisor = Supervisor(
            plan.addresses,
            lambda worker: worker_command(plan, worker, metrics_dir=directory),
            metrics=metrics,
            log=log,
            drain_s=plan.drain_s,
        )
        async with WorkerHealth(plan.addresses) as health:
            app = build_admin(metrics.registry, health.check, lambda: supervisor.stopping)
            async with serve_admin(app, plan.admin) as admin:
                try:
                    supervisor.start()
                    yield Service(admin, supervisor.failure, health)
                finally:
                    await supervisor.stop(hurry=stop_signal())


def worker_command(plan: ServicePlan, worker: int, *, metrics_dir: str) -> Sequence[str]:
    """The command line of worker N; `cli.worker` reads it."""
    return [
        sys.executable,
        "-P",  # never import from whatever directory the service was started in
        "-m",
        "router_service",
        "worker",
        str(plan.config),
        f"--index={worker}",
        f"--listen={plan.addresses[worker]}",
        f"--metrics-dir={metrics_dir}",
        f"--parent={os.getpid()}",
        f"--log-format={plan.logs.format}",
        f"--log-level={plan.logs.level}",
        *(["--colour"] if plan.logs.colour else []),
        *(["--reflection"] if plan.reflection else []),
    ]
