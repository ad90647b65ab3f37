"""All of it in order, and back: demo providers, workers, Envoy; then wait; then Envoy, workers, demo providers.

Whatever happens, everything that was started has ended when `run` returns.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from router_service.config.build import build_catalog
from router_service.config.load import Loaded
from router_service.config.models import Config
from router_service.config.providers import endpoint
from router_service.config.service import MAX_SOCKET_PATH_BYTES, Address, TcpAddress, UnixAddress, worker_address
from router_service.dataplane.authorities import find_ca_file
from router_service.dataplane.binary import find_envoy
from router_service.dataplane.deployment import Deployment, reachable
from router_service.demo.server import demo_provider
from router_service.service import Service, ServicePlan, start_service
from router_service.telemetry.console import painter
from router_service.telemetry.logs import Log, LogSettings
from router_service.telemetry.stdout import log_to_stdout
from router_service.up.arrange import Arrangement, arrange, measured_at, stand_in, worker_file
from router_service.up.envoy import Envoy, start_envoy
from router_service.up.ports import ensure_free
from router_service.up.screen import Running, banner, last_lines, provider_lines
from router_service.waiting import first_done, stop_signal

# Seconds are usual; a machine that takes longer than this has a problem that waiting does not solve.
START_TIMEOUT_S = 30.0

# Requests that are under way when everything stops came through Envoy, which has ended by then.
DRAIN_S = 1.0

T = TypeVar("T")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpPlan:
    """What to start. `port` is where clients connect; `logs` is how decisions are printed."""

    loaded: Loaded
    port: int
    admin: TcpAddress
    envoy_admin: TcpAddress
    logs: LogSettings

    @property
    def listener(self) -> TcpAddress:
        return TcpAddress(self.loaded.config.listeners[0].address, self.port)


class Failed(Exception):
    """Something ended that should not have, or did not begin; the text says what, and what it said last."""


class _Stopped(Exception):
    """The user has had enough."""


def run(plan: UpPlan, say: Say) -> None:
    """Until a signal comes. Raises SetupError where something is missing, Failed where something does not run."""
    executable = find_envoy()
    ensure_free(plan.listener, "clients", "--port")
    ensure_free(plan.admin, "metrics and health", "--admin")
    ensure_free(plan.envoy_admin, "Envoy's admin", "--envoy-admin-port")
    with _private_directory() as name, log_to_stdout(plan.logs) as log:
        asyncio.run(_run(plan, executable, Path(name), log, say))


def _private_directory() -> TemporaryDirectory[str]:
    """Mode 0700, and short enough for the workers' sockets."""
    directory = TemporaryDirectory(prefix="router-service-")
    if len(f"{directory.name}/router.sock") <= MAX_SOCKET_PATH_BYTES:
        return directory
    directory.cleanup()
    return TemporaryDirectory(prefix="router-service-", dir="/tmp")


async def _run(plan: UpPlan, executable: Path, directory: Path, log: Log, say: Say) -> None:
    paint = painter(plan.logs.colour)
    watch = _Watch(stop_signal(signal.SIGHUP))  # a terminal that is closed is a goodbye, too
    arrangement = arrange(plan.loaded)
    for line in provider_lines(arrangement, paint):
        say(line)
    try:
        async with AsyncExitStack() as stack:
            config = await _effective(plan, arrangement, stack)
            service_plan = _service_plan(plan, config, directory)
            service = await stack.enter_async_context(start_service(service_plan, log))
            watch.service = service
            await watch.during(asyncio.to_thread(_render, plan, config, service_plan.addresses, directory))
            envoy = await stack.enter_async_context(
                start_envoy(executable, directory / "envoy", directory / "envoy.log")
            )
            watch.envoy = envoy
            models = f"http://{reachable(plan.listener)}/v1/models"
            await watch.during(_both(service.ready(), envoy.answers(models)), timeout_s=START_TIMEOUT_S)
            running = Running(
                listener=_as_written(plan.listener),
                admin=_as_written(plan.admin),
                envoy_admin=plan.envoy_admin,
                envoy_log=envoy.log,
            )
            say(banner(running, build_catalog(config), paint))
            await watch.during(asyncio.Event().wait())
    except _Stopped:
        return


class _Watch:
    """What ends everything else: a signal, or the end of something that should run."""

    def __init__(self, stop: asyncio.Future[Any]) -> None:
        self._stop = stop
        self.service: Service | None = None
        self.envoy: Envoy | None = None

    async def during(self, work: Coroutine[None, None, T], timeout_s: float | None = None) -> T:
        """The result of `work`. Raises _Stopped, or Failed, if that comes first."""
        task = asyncio.create_task(work)
        ends = [self.service.failure] if self.service else []
        other_ends = [self.envoy.ended] if self.envoy else []
        await first_done(task, self._stop, *ends, *other_ends, timeout_s=timeout_s)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait([task])
        if self._stop.done():
            raise _Stopped
        if self.envoy is not None and self.envoy.ended.done():
            lines = last_lines(self.envoy.log.read_text(errors="replace"))
            raise Failed(
                f"Envoy ended ({self.envoy.ended.result()}), and everything with it. What it said last:\n{lines}"
            )
        if self.service is not None and self.service.failure.done():
            raise Failed("A worker could not start, and everything ended with it; what it said is above.")
        raise Failed(f"Not ready after {timeout_s:g} s: {await self._problems()}.")

    async def _problems(self) -> str:
        workers = await self.service.problems() if self.service else ()
        return ", ".join(workers) or "no answer through Envoy"


async def _both(one: Coroutine[None, None, None], other: Coroutine[None, None, None]) -> None:
    await asyncio.gather(one, other)


async def _effective(plan: UpPlan, arrangement: Arrangement, stack: AsyncExitStack) -> Config:
    """The configuration that runs: the file's, less what was left out, with demo providers where they stand in."""
    ports = {
        missing.provider: await stack.enter_async_context(demo_provider(missing.provider))
        for missing in arrangement.stand_ins
    }
    config = stand_in(arrangement.config, frozenset(plan.loaded.missing), ports)
    config = measured_at(config, f"http://{plan.envoy_admin}")
    first, *others = config.listeners
    return config.model_copy(
        update={
            "listeners": [first.model_copy(update={"port": plan.port}), *others],
            "service": config.service.model_copy(update={"drain_delay": 0.0, "drain_timeout": DRAIN_S}),
        }
    )


def _service_plan(plan: UpPlan, config: Config, directory: Path) -> ServicePlan:
    file = directory / "config.yaml"
    file.write_text(worker_file(config))
    socket = UnixAddress(str(directory / "router.sock"))
    return ServicePlan(
        config=file,
        addresses=tuple(worker_address(socket, worker) for worker in range(config.service.workers)),
        admin=plan.admin,
        drain_s=DRAIN_S,
        logs=plan.logs,
    )


def _render(plan: UpPlan, config: Config, addresses: tuple[Address, ...], directory: Path) -> None:
    """Write Envoy's files. In a thread: importing Envoy's API takes most of a second, in which the workers start."""
    from router_service.dataplane.files import write  # noqa: PLC0415
    from router_service.dataplane.render import render  # noqa: PLC0415

    deployment = Deployment(
        directory=str(directory / "envoy"),
        service=addresses,
        ca_file=find_ca_file() if any(endpoint(entry).tls for entry in config.model_providers) else "",
        admin_port=plan.envoy_admin.port,
        access_log=str(directory / "access.log"),
    )
    write(render(config, deployment), directory / "envoy")


def _as_written(address: TcpAddress) -> TcpAddress:
    """`localhost`, where somebody on this machine may write that."""
    return replace(address, host="localhost") if address.host in ("0.0.0.0", "127.0.0.1") else address  # noqa: S104
