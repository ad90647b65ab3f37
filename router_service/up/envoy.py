"""One Envoy on this machine: started from rendered files, watched, ended."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from router_service.supervisor import describe_exit
from router_service.tether import tethered
from router_service.waiting import poll_until

# Envoy ends at once when told to; one that does not is stuck.
END_S = 5.0


@dataclass(frozen=True, slots=True)
class Envoy:
    """A started Envoy; `ended` gets how it ended, which nobody wants while it is in use."""

    ended: asyncio.Future[str]
    log: Path

    async def answers(self, url: str) -> None:
        """Return once a GET of `url` through Envoy is answered with 200. May wait forever: bound it, watch `ended`."""
        timeout = aiohttp.ClientTimeout(total=1.0)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await poll_until(lambda: _is_ok(session, url))


@asynccontextmanager
async def start_envoy(executable: Path, directory: Path, log: Path) -> AsyncIterator[Envoy]:
    """Run Envoy inside the block on the files in `directory`; what it says goes to `log`."""
    command = [
        *(str(executable), "--config-path", str(directory / "bootstrap.json")),
        *("--log-level", "warning"),
        "--use-dynamic-base-id",  # another Envoy may run on this machine
    ]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *tethered(command), stdin=DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    ended = asyncio.create_task(process.wait())
    how: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    ended.add_done_callback(lambda task: how.set_result(describe_exit(task.result())))
    try:
        yield Envoy(how, log)
    finally:
        if not ended.done():
            process.terminate()
            await asyncio.wait([ended], timeout=END_S)
        if not ended.done():
            process.kill()
            await ended


async def _is_ok(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
