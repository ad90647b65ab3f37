"""Ask once for the same thing: callers that come while an answer is on its way wait for that one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


@dataclass(slots=True)
class _Flight(Generic[_Value]):
    task: asyncio.Task[_Value]
    waiting: int = 0


class SingleFlight(Generic[_Value]):
    """Work shared by key. It is cancelled when the last who waits for it goes away, not before."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[_Value]] = {}
        self._ending: set[asyncio.Task[_Value]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._flights

    async def run(self, key: Hashable, work: Callable[[], Coroutine[None, None, _Value]]) -> _Value:
        """The result of `work` for this key, started now or already under way."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(work()))
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._cancel(key, flight.task)

    async def aclose(self) -> None:
        """Cancel what is under way and wait until it is gone."""
        for key, flight in list(self._flights.items()):
            self._cancel(key, flight.task)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _cancel(self, key: Hashable, task: asyncio.Task[_Value]) -> None:
        """Whoever asks from now on gets a flight of their own."""
        del self._flights[key]
        self._ending.add(task)
        task.cancel()

    def _landed(self, key: Hashable, task: asyncio.Task[_Value]) -> None:
        self._ending.discard(task)
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]
