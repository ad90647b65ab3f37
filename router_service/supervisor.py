"""Keeps the worker processes running: starts them, starts again what died, drains and ends them all.

Owns processes and sockets, never a request. A worker that dies is started again after a pause that grows while it keeps
dying, and the others go on. A worker whose first start ends with exit status 2 says that trying again cannot help
(wrong configuration, address in use): the supervisor gives up with the same status.

Workers are separate programs, never forks: gRPC's threads and locks do not survive a fork. They are in a session of
their own, so that Ctrl-C in a terminal reaches the supervisor alone, and it decides the order in which things end.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import stat
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from pathlib import Path

from router_service.config.service import Address, UnixAddress
from router_service.errors import SetupError
from router_service.telemetry.logs import Log
from router_service.telemetry.metrics import ServiceMetrics
from router_service.waiting import first_done

# The first restart is immediate for all practical purposes, later ones give what is broken time to recover.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0

# A worker that lived this long was all right: what ended it is news.
STEADY_S = 30.0

# What a worker may take beyond its drain to end, before it is killed.
END_MARGIN_S = 3.0

CANNOT_HELP = 2  # the exit status of `router-service` for wrong usage or configuration


def restart_pause_s(deaths_in_a_row: int) -> float:
    """How long to wait before a worker is started again, after its first, second, … death without a steady time."""
    doublings = min(deaths_in_a_row - 1, 10)  # more would pass the longest pause, and in the end what a float can hold
    return min(FIRST_PAUSE_S * 2.0**doublings, LONGEST_PAUSE_S)


def describe_exit(status: int | OSError) -> str:
    """`exit status 1`, `SIGKILL` for a process that a signal ended, or why it could not be started."""
    if isinstance(status, OSError):
        return f"could not be started: {status.strerror}"
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


class Supervisor:
    """One process per address; `start`, then await `failure` or your own reason to stop, then `stop`.

    `command` gives the command line of worker N. `drain_s` is how long workers may take to end once told to.
    """

    def __init__(
        self,
        addresses: Sequence[Address],
        command: Callable[[int], Sequence[str]],
        *,
        metrics: ServiceMetrics,
        log: Log,
        drain_s: float,
    ) -> None:
        self._workers = range(len(addresses))
        self._sockets = [Path(address.path) for address in addresses if isinstance(address, UnixAddress)]
        self._command = command
        self._metrics = metrics
        self._log = log
        self._drain_s = drain_s
        self._processes: dict[int, Process] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self.failure: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def start(self) -> None:
        """Start every worker. Raises SetupError where a worker's socket cannot be."""
        for path in self._sockets:
            claim_socket(path)
        self._keepers = [asyncio.create_task(self._keep(worker)) for worker in self._workers]

    async def stop(self, hurry: asyncio.Future[signal.Signals]) -> None:
        """Let the workers drain and wait for them; kill those that take too long, or all once `hurry` is done."""
        self._stopping.set()
        for process in self._processes.values():
            process.terminate()
        ended = asyncio.gather(*self._keepers)
        await first_done(ended, hurry, timeout_s=self._drain_s + END_MARGIN_S)
        for worker, process in self._processes.items():
            self._log.warning("worker_killed", worker=worker, pid=process.pid)
            process.kill()
        await ended
        for path in self._sockets:
            path.unlink(missing_ok=True)

    async def _keep(self, worker: int) -> None:
        """Run worker N again and again, until stopping."""
        clock = asyncio.get_running_loop().time
        deaths = deaths_in_a_row = 0
        while not self._stopping.is_set():
            started = clock()
            status = await self._run(worker)
            if self._stopping.is_set():
                return
            if status == CANNOT_HELP and deaths == 0:
                if not self.failure.done():
                    self.failure.set_result(status)
                return
            deaths += 1
            deaths_in_a_row = 1 if clock() - started >= STEADY_S else deaths_in_a_row + 1
            pause_s = restart_pause_s(deaths_in_a_row)
            self._log.error("worker_died", worker=worker, cause=describe_exit(status), restart_in_s=pause_s)
            await self._pause(pause_s)
            if not self._stopping.is_set():
                self._metrics.worker_restarted()

    async def _run(self, worker: int) -> int | OSError:
        """One life of worker N: its exit status, or why it has none."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command(worker), stdin=DEVNULL, start_new_session=True
            )
        except OSError as error:  # out of memory or processes, which may pass
            return error
        self._processes[worker] = process
        self._metrics.worker_started()
        if self._stopping.is_set():  # told to stop while it was being started
            process.terminate()
        try:
            return await process.wait()
        finally:
            del self._processes[worker]
            self._metrics.worker_ended(worker)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def claim_socket(path: Path) -> None:
    """Make `path` free for a worker's socket: its directory there, a socket that nobody listens on removed.

    Raises SetupError, saying what is in the way.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SetupError(f"Cannot listen on unix:{path}: {error.strerror}; choose another service.listen.") from error
    if not stat.S_ISSOCK(mode):
        raise SetupError(
            f"Cannot listen on unix:{path}: a file that is no socket is there; remove it, or choose another."
        )
    with socket.socket(socket.AF_UNIX) as probe:
        result = probe.connect_ex(str(path))
    if result not in (errno.ECONNREFUSED, errno.ENOENT):
        raise SetupError(
            f"Cannot listen on unix:{path}: another process does; stop it, or choose another service.listen."
        )
    path.unlink(missing_ok=True)
