"""Looking after the replicas in the background: new addresses, what a server can do, whether it came back.

Nothing waits for this: a replica that has not been probed is asked whole questions, which are right and slower.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from router_service.classify.backend import Backend, unless_lacking
from router_service.classify.facts import Facts
from router_service.classify.model_server import ServerFailed
from router_service.classify.replicas import Replica, Replicas

# The first question after a start compiles the grammar and reads the prompt, for seconds on a slow machine.
_PROBE_TIMEOUT_S = 30.0
# How soon a new replica or a server that came back is noticed.
PAUSE_S = 5.0


class Watcher(Protocol):
    """Who is told. Must neither wait nor fail. `address` is `scheme://ip:port`."""

    def found(self, address: str, facts: Facts) -> None:
        """A probe succeeded: of a new server, of one that had been lost, or of one that serves other models now."""
        ...

    def lost(self, address: str, why: str) -> None:
        """A probe failed; told once until one succeeds. An empty address: no URL's name could be looked up."""
        ...


class Watch:
    """`look` once, or `start` to keep looking until `aclose`. `prompt` is any question the server should answer."""

    def __init__(self, replicas: Replicas, backend: Backend, watcher: Watcher, *, prompt: str) -> None:
        self._replicas = replicas
        self._backend = backend
        self._watcher = watcher
        self._prompt = prompt
        self._lost: set[str] = set()
        self._looking: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._looking = asyncio.create_task(self._look_forever())

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def look(self) -> None:
        """Look the addresses up, and see whether every replica serves what it served before."""
        await self._replicas.refresh()
        if not self._replicas.known:
            self._tell_lost("", "no address is known for router.url")
        else:
            self._lost.discard("")
        await asyncio.gather(*map(self._look_at, self._replicas.known))

    async def _look_forever(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(PAUSE_S)

    async def _look_at(self, replica: Replica) -> None:
        """Probe the replica if it is new, was lost, or serves other models than before."""
        address = str(replica.server.address)
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                served = tuple(await unless_lacking(replica.server.served_models()) or ())
                if replica.facts is not None and replica.facts.served == served:
                    return
                facts = await self._backend.probe(replica.server, served, self._prompt)
        except ServerFailed as failed:
            replica.facts = None
            self._tell_lost(address, str(failed))
        except TimeoutError:
            replica.facts = None
            self._tell_lost(address, f"no answer within {_PROBE_TIMEOUT_S:.0f} s")
        else:
            replica.facts = facts
            self._lost.discard(address)
            self._watcher.found(address, facts)

    def _tell_lost(self, address: str, why: str) -> None:
        if address not in self._lost:
            self._lost.add(address)
            self._watcher.lost(address, why)
