"""What a supervising process waits for: being told to stop, the first of several things, another process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

# How often something that tells nobody is asked: what starts takes tenths of a second.
POLL_S = 0.05


def stop_signal(*others: signal.Signals) -> asyncio.Future[signal.Signals]:
    """The next SIGTERM, SIGINT or of `others`, from this call on. Later ones are ignored until this is called again."""
    loop = asyncio.get_running_loop()
    received: asyncio.Future[signal.Signals] = loop.create_future()

    def receive(number: signal.Signals) -> None:
        if not received.done():
            received.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT, *others):
        loop.add_signal_handler(number, receive, number)
    return received


async def first_done(*futures: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    """Return when one of `futures` is done, or the time is up; whoever asked looks which it was."""
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


async def poll_until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Return once `is_so`; for what other processes do, of which no event tells. May wait forever: bound it."""
    while not await is_so():  # noqa: ASYNC110 there is no event to wait for
        await asyncio.sleep(POLL_S)
