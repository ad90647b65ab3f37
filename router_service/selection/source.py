"""A source of prices or latencies: one coroutine that reads it, and every way that can fail, named once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import aiohttp
from yarl import URL

from router_service.routing.catalog import Target

# Far more than a catalogue of every model there is; a larger answer is a mistake.
_MAX_BYTES = 32 * 2**20


class SourceFailed(Exception):
    """It could not be read. `str()` is safe for a log: it holds a status or an error's name, and no address."""


class Source(Protocol):
    """`name` is the metric label, one of a closed set; `interval_s` is how often it is worth reading."""

    @property
    def name(self) -> str: ...

    @property
    def interval_s(self) -> float: ...

    async def read(self) -> Mapping[str, float]:
        """One number for each model that the source knows, by `Target.key`. Raises SourceFailed."""
        ...


def names_of(target: Target) -> tuple[str, ...]:
    """What a source may call a model that it knows from this configuration; the first name that it has counts."""
    return (target.key, target.model)


def known(
    targets: Sequence[Target],
    numbers: Mapping[str, float],
    names: Callable[[Target], Sequence[str]] = names_of,
) -> Mapping[str, float]:
    """The numbers of these models, by `Target.key`, out of a source's by the names that it gives them."""
    found = {target.key: next((name for name in names(target) if name in numbers), None) for target in targets}
    return {key: numbers[name] for key, name in found.items() if name is not None}


async def fetch(session: aiohttp.ClientSession, url: URL) -> bytes:
    """The body of a GET that was answered with 200. Raises SourceFailed; the bound of time is the caller's."""
    body = bytearray()
    try:
        async with session.get(url) as response:
            if response.status != 200:
                raise SourceFailed(f"HTTP {response.status}")
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise SourceFailed(f"more than {_MAX_BYTES} bytes")
    except (aiohttp.ClientError, OSError) as error:
        raise SourceFailed(type(error).__name__) from error
    return bytes(body)
