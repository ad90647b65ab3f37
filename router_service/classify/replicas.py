"""The addresses of a model server: which there are, which are well, and which has the least to do.

`router.url` may list several URLs, and a name may stand for several addresses; all of them together are the replicas.
Each has a circuit breaker of its own: one that fails again and again is left out until a probe succeeds. Load is what
this process has under way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import count

from yarl import URL

from router_service.classify.facts import Facts
from router_service.classify.model_server import Address, ModelServer
from router_service.routing import breaker
from router_service.routing.special_tokens import SPECIAL_TOKENS

# A host's IP addresses, in any order. Raises OSError.
Resolver = Callable[[str, int], Awaitable[Collection[str]]]


async def resolve_host(host: str, port: int) -> Collection[str]:
    """As the operating system does it, /etc/hosts included."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return {str(address[0]) for *_, address in found}


class Replica:
    """One address, what is known about it and what it has to do for us."""

    def __init__(self, server: ModelServer) -> None:
        self.server = server
        self.facts: Facts | None = None  # while it has not been probed, or cannot be reached
        self.in_flight = 0
        self.state: breaker.State = breaker.Closed()


class Replicas:
    """Every replica of the URLs. `known` changes with `refresh`, which may run at any time."""

    def __init__(
        self,
        urls: Sequence[str],
        connect: Callable[[Address], ModelServer],
        *,
        resolver: Resolver,
        policy: breaker.Policy,
        clock: Callable[[], float],
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._resolver = resolver
        self._policy = policy
        self._by_url: dict[URL, tuple[Replica, ...]] = {URL(url).with_user(None): () for url in urls}
        self._numbers = count(1)
        self._turns = count()

    @property
    def known(self) -> tuple[Replica, ...]:
        return tuple(replica for replicas in self._by_url.values() for replica in replicas)

    @property
    def special_tokens(self) -> frozenset[str]:
        """Those of any replica's tokenizer; every one we know of while no replica has been probed."""
        found = [replica.facts.special_tokens for replica in self.known if replica.facts]
        return frozenset().union(*found) if found else SPECIAL_TOKENS

    async def refresh(self) -> None:
        """Look the names up. A name that cannot be looked up keeps the addresses it had."""
        for url, had in self._by_url.items():
            addresses = await self._addresses(url)
            if addresses:
                same = {replica.server.address: replica for replica in had}
                self._by_url[url] = tuple(same.get(address) or Replica(self._connect(address)) for address in addresses)

    async def _addresses(self, url: URL) -> list[Address]:
        host = url.host or ""
        if _is_ip(host):
            return [Address(url, host)]
        try:
            found = await self._resolver(host, url.port or 80)
        except OSError:
            return []
        return [Address(url.with_host(ip), host) for ip in sorted(found)]

    def choose(self, *, besides: Replica | None = None) -> Replica | None:
        """The least loaded replica that may be asked now, in turn where several are; None if none may."""
        now_s = self._clock()
        allowed = [
            replica for replica in self.known if replica is not besides and breaker.is_allowed(replica.state, now_s)
        ]
        if not allowed:
            return None
        least = min(replica.in_flight for replica in allowed)
        idlest = [replica for replica in allowed if replica.in_flight == least]
        return idlest[next(self._turns) % len(idlest)]

    def asked(self, replica: Replica) -> int:
        """A question goes to the replica; its number belongs in `answered`."""
        number = next(self._numbers)
        replica.state = breaker.asked(replica.state, number)
        replica.in_flight += 1
        return number

    def answered(self, replica: Replica, number: int, outcome: breaker.Outcome) -> None:
        """What became of the question."""
        replica.in_flight -= 1
        replica.state = breaker.answered(self._policy, replica.state, number, outcome, self._clock())


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
