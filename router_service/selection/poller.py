"""Reads one source again and again, and keeps its last good answer."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from router_service.selection.source import Source, SourceFailed

# Enough for a large catalogue over a slow line; a source that hangs longer is asked again.
READ_TIMEOUT_S = 20.0
# After a failure: soon, and then less and less often, up to the source's own interval.
FIRST_RETRY_S = 5.0
# Workers and machines that started together must not go on asking together.
JITTER = 0.1


class Watcher(Protocol):
    """Who is told. Must neither wait nor fail."""

    def source_read(self, source: str, models: int, at: float, *, is_new: bool) -> None:
        """It was read, and knows so many models. `is_new`: for the first time, or after a failure."""
        ...

    def source_failed(self, source: str, why: str, *, is_new: bool) -> None:
        """It could not be read. `is_new`: it could before, or this was the first attempt."""
        ...


class Unwatched:
    """A watcher for whoever looks at the poller itself."""

    def source_read(self, source: str, models: int, at: float, *, is_new: bool) -> None:
        pass

    def source_failed(self, source: str, why: str, *, is_new: bool) -> None:
        pass


class Poller:
    """`poll` once, or `run` for ever.

    `numbers` are those of the last time it went well, `read_at` is when that was, by a clock of seconds since the
    epoch; `failure` says why the last time did not go well. `tried` is set after the first time, however it went.
    """

    def __init__(
        self,
        source: Source,
        watcher: Watcher,
        *,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self.source = source
        self.numbers: Mapping[str, float] = MappingProxyType({})
        self.read_at: float | None = None
        self.failure: str | None = None
        self.tried = asyncio.Event()
        self._watcher = watcher
        self._changed = changed
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._timeout_s = timeout_s
        self._failures = 0

    async def run(self) -> None:
        while True:
            await self.poll()
            await self._sleep(pause_s(self.source.interval_s, self._failures, self._draw()))

    async def poll(self) -> None:
        """Read it once; what goes wrong is told, and nothing else happens."""
        try:
            async with asyncio.timeout(self._timeout_s):
                numbers = await self.source.read()
        except SourceFailed as failed:
            self._failed(str(failed))
        except TimeoutError:
            self._failed(f"no answer within {self._timeout_s:g} s")
        else:
            is_new = self.read_at is None or self._failures > 0
            self.numbers, self.read_at, self.failure, self._failures = numbers, self._clock(), None, 0
            self._watcher.source_read(self.source.name, len(numbers), self.read_at, is_new=is_new)
            self._changed()
        self.tried.set()

    def _failed(self, why: str) -> None:
        self._failures += 1
        self.failure = why
        self._watcher.source_failed(self.source.name, why, is_new=self._failures == 1)


def pause_s(interval_s: float, failures: int, draw: float) -> float:
    """How long to wait before the next reading; `draw` in [0, 1) spreads it."""
    retry_s = FIRST_RETRY_S * 2 ** min(failures - 1, 20)
    return (min(interval_s, retry_s) if failures else interval_s) * (1 + JITTER * (2 * draw - 1))
