"""The supervisor with real processes: they report to the test, and their connection ends when they do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import msgspec
import pytest

from router_service.config.service import Address, TcpAddress, UnixAddress
from router_service.supervisor import CANNOT_HELP, Supervisor
from router_service.telemetry.logs import LogSettings, build_log
from router_service.telemetry.metrics import ServiceMetrics

# Reports its number and pid, then ends as it is told over the same connection: with a status, or by refusing to.
WORKER = """
import os, signal, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
connection.sendall(f"{sys.argv[2]} {os.getpid()}\\n".encode())
while order := connection.recv(100).decode():
    if order == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        connection.sendall(b"stubborn\\n")
    else:
        sys.exit(int(order))
"""
ADDRESSES: tuple[Address, ...] = (TcpAddress("127.0.0.1", 1), TcpAddress("127.0.0.1", 2))


@dataclass(frozen=True, slots=True)
class Reported:
    """A worker that runs."""

    worker: int
    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def told(self, order: str) -> None:
        self.writer.write(order.encode())
        await self.writer.drain()

    async def ended(self) -> None:
        await self.reader.read()


class Stage:
    """Where workers report to, and what the supervisor under test wrote down."""

    def __init__(self, directory: Path) -> None:
        self.socket = str(directory / "test.sock")
        self.metrics = ServiceMetrics(directory)
        self.log = build_log(LogSettings(), self._write)
        self._writers: list[asyncio.StreamWriter] = []
        self._reports: asyncio.Queue[Reported] = asyncio.Queue()
        self._events: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    def _write(self, line: bytes) -> None:
        self._events.put_nowait(msgspec.json.decode(line))

    def command(self, worker: int) -> list[str]:
        return [sys.executable, "-ISc", WORKER, self.socket, str(worker)]

    def supervisor(
        self, addresses: tuple[Address, ...] = ADDRESSES, command: Callable[[int], list[str]] | None = None
    ) -> Supervisor:
        return Supervisor(addresses, command or self.command, metrics=self.metrics, log=self.log, drain_s=20)

    async def reported(self) -> Reported:
        return await self._reports.get()

    async def both(self) -> tuple[Reported, Reported]:
        first, second = await self.reported(), await self.reported()
        return (first, second) if first.worker == 0 else (second, first)

    async def event(self, name: str) -> dict[str, object]:
        while (event := await self._events.get())["event"] != name:
            pass
        return event

    def metric(self, name: str) -> float:
        return cast(float, self.metrics.registry.get_sample_value(name))

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        worker, pid = (await reader.readline()).split()
        self._writers.append(writer)
        self._reports.put_nowait(Reported(int(worker), int(pid), reader, writer))

    async def aclose(self) -> None:
        for writer in self._writers:
            writer.close()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    with TemporaryDirectory(prefix="rs-") as directory:  # pytest's own directories are too long for a socket's path
        stage = Stage(Path(directory))
        server = await asyncio.start_unix_server(stage.accept, stage.socket)
        yield stage
        await stage.aclose()
        server.close()
        await server.wait_closed()


def never() -> asyncio.Future[signal.Signals]:
    return asyncio.get_running_loop().create_future()


@asynccontextmanager
async def started(supervisor: Supervisor) -> AsyncIterator[Supervisor]:
    supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop(never())


async def test_a_worker_that_dies_is_started_again_and_the_other_goes_on(stage: Stage) -> None:
    async with started(stage.supervisor()):
        first, second = await stage.both()
        os.kill(second.pid, signal.SIGKILL)
        again = await stage.reported()

        assert again.worker == 1
        assert again.pid != second.pid
        died = await stage.event("worker_died")
        assert (died["worker"], died["cause"], died["restart_in_s"]) == (1, "SIGKILL", 0.1)
        assert not first.reader.at_eof()
        assert stage.metric("router_workers") == 2
        assert stage.metric("router_worker_restarts_total") == 1


async def test_a_worker_that_goes_on_dying_waits_longer_each_time(stage: Stage) -> None:
    async with started(stage.supervisor(ADDRESSES[:1])):
        pauses = []
        for _ in range(3):
            await (await stage.reported()).told("1")
            died = await stage.event("worker_died")
            assert died["cause"] == "exit status 1"
            pauses.append(died["restart_in_s"])

    assert pauses == [0.1, 0.2, 0.4]


async def test_a_first_start_that_says_trying_again_cannot_help_is_a_failure(stage: Stage) -> None:
    async with started(stage.supervisor()) as supervisor:
        first, _ = await stage.both()
        await first.told(str(CANNOT_HELP))

        assert await supervisor.failure == CANNOT_HELP


async def test_a_restarted_worker_is_tried_again_whatever_its_status(stage: Stage) -> None:
    async with started(stage.supervisor(ADDRESSES[:1])) as supervisor:
        await (await stage.reported()).told("1")
        await (await stage.reported()).told(str(CANNOT_HELP))
        await stage.reported()

        assert not supervisor.failure.done()


async def test_a_program_that_cannot_be_started_is_tried_again(stage: Stage) -> None:
    async with started(stage.supervisor(ADDRESSES[:1], lambda _: ["/nonexistent/program"])):
        died = await stage.event("worker_died")

    assert died["cause"] == "could not be started: No such file or directory"


async def test_stopping_ends_every_worker(stage: Stage) -> None:
    async with started(stage.supervisor()):
        workers = await stage.both()

    for worker in workers:
        await worker.ended()
    assert stage.metric("router_workers") == 0


async def test_a_second_signal_ends_workers_that_take_too_long(stage: Stage) -> None:
    supervisor = stage.supervisor(ADDRESSES[:1])
    supervisor.start()
    worker = await stage.reported()
    await worker.told("stubborn")
    assert await worker.reader.readline() == b"stubborn\n"

    hurry = never()
    hurry.set_result(signal.SIGINT)
    await supervisor.stop(hurry)

    await worker.ended()
    assert (await stage.event("worker_killed"))["worker"] == 0


async def test_a_stop_while_a_worker_waits_for_its_restart_waits_no_longer(stage: Stage) -> None:
    async with started(stage.supervisor(ADDRESSES[:1])):
        await (await stage.reported()).told("1")
        await stage.event("worker_died")

    assert stage.metric("router_worker_restarts_total") == 0


async def test_workers_sockets_are_removed_at_the_end(stage: Stage) -> None:
    path = Path(stage.socket).with_name("worker.sock")
    async with started(stage.supervisor((UnixAddress(str(path)),))):
        await stage.reported()
        path.touch()

    assert not path.exists()


PARENT = """
import signal, subprocess, sys
from router_service.tether import tethered
subprocess.Popen(tethered(sys.argv[1:]))
signal.pause()
"""


async def test_a_tethered_command_ends_when_its_parent_is_killed(stage: Stage) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, *stage.command(0))
    child = await stage.reported()

    process.kill()
    await process.wait()

    await child.ended()
