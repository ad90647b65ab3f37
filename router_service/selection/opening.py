"""From a configuration to what is known of its models: the one place that knows every kind of source."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import aiohttp
from yarl import URL

from router_service.config.models import Config, MetricsSource
from router_service.routing.catalog import Catalog, Target
from router_service.routing.ranking import Prefer, Standings
from router_service.selection.catalogues import SHAPES, Catalogue
from router_service.selection.envoy import EXPLORED, EnvoyStats
from router_service.selection.poller import Poller, Watcher
from router_service.selection.price_file import PriceFile
from router_service.selection.prometheus import Prometheus
from router_service.selection.source import Source

URLS: Mapping[str, str] = MappingProxyType(
    {
        "models.dev": "https://models.dev/api.json",
        "digitalocean": "https://api.digitalocean.com/v2/gen-ai/models/catalog?limit=200",
        "envoy": "http://127.0.0.1:9901",  # its admin, as it is rendered
    }
)

# As often as the numbers change, or as can be paid for: a file's version is looked at, nothing more.
INTERVALS_S: Mapping[str, float] = MappingProxyType(
    {"file": 1.0, "models.dev": 3600.0, "digitalocean": 3600.0, "prometheus": 60.0, "envoy": 10.0}
)

# So that the first requests find prices. A source that takes longer is found by later ones.
START_WAIT_S = 1.0

_CONNECT_TIMEOUT_S = 5.0


class Selection:
    """`standings` is what is known by now: a value that the next reading replaces."""

    def __init__(self, costs: Sequence[Source], latencies: Source | None, watcher: Watcher) -> None:
        self.costs = [Poller(source, watcher, changed=self._renew) for source in costs]
        self.latencies = Poller(latencies, watcher, changed=self._renew) if latencies is not None else None
        self._explored = EXPLORED if isinstance(latencies, EnvoyStats) else 0.0
        self.standings = Standings()

    @property
    def pollers(self) -> Sequence[Poller]:
        return [*self.read_for(Prefer.CHEAPEST), *self.read_for(Prefer.FASTEST)]

    def read_for(self, prefer: Prefer) -> Sequence[Poller]:
        """The sources whose numbers rank by this."""
        if prefer is Prefer.CHEAPEST:
            return self.costs
        return [self.latencies] if prefer is Prefer.FASTEST and self.latencies else []

    def _renew(self) -> None:
        prices: dict[str, float] = {}
        for poller in reversed(self.costs):  # the first one counts
            prices.update(poller.numbers)
        self.standings = Standings(prices, self.latencies.numbers if self.latencies else {}, self._explored)


@asynccontextmanager
async def open_selection(
    config: Config, catalog: Catalog, watcher: Watcher, *, only_files: bool = False
) -> AsyncIterator[Selection]:
    """The sources that the catalogue's policies need; none has been read. With `only_files` no other is there."""
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),  # `Poller` bounds the whole
    ) as session:
        written = [source for source in config.model_metrics_sources if source.file is not None or not only_files]
        costs = [source for source in written if source.type == "cost"] if _ranked(catalog, Prefer.CHEAPEST) else []
        latencies = None
        if _ranked(catalog, Prefer.FASTEST) and not only_files:
            observed = MetricsSource(type="latency", provider="envoy")
            latencies = next((source for source in written if source.type == "latency"), observed)
        yield Selection(
            [_open(source, session, _ranked(catalog, Prefer.CHEAPEST)) for source in costs],
            _open(latencies, session, _ranked(catalog, Prefer.FASTEST)) if latencies is not None else None,
            watcher,
        )


@asynccontextmanager
async def kept_up_to_date(selection: Selection, *, wait_s: float = START_WAIT_S) -> AsyncIterator[None]:
    """Every source is read again and again; the block begins when each has been tried, or after a moment."""
    tasks = [asyncio.create_task(poller.run()) for poller in selection.pollers]
    first = [asyncio.create_task(poller.tried.wait()) for poller in selection.pollers]
    try:
        if first:
            await asyncio.wait(first, timeout=wait_s)
        yield
    finally:
        for task in (*tasks, *first):
            task.cancel()
        await asyncio.gather(*tasks, *first, return_exceptions=True)


def _ranked(catalog: Catalog, prefer: Prefer) -> tuple[Target, ...]:
    """The models that are ranked so, each once."""
    return tuple({target: None for pool in catalog.pools if pool.policy.prefer is prefer for target in pool.models})


def _open(source: MetricsSource, session: aiohttp.ClientSession, targets: Sequence[Target]) -> Source:
    kind = source.provider or "file"
    interval_s = INTERVALS_S[kind] if source.refresh_interval is None else source.refresh_interval
    url = URL(source.url or URLS.get(kind, ""))
    match source.provider:
        case None:
            return PriceFile(Path(source.file or ""), targets, interval_s)
        case "models.dev" | "digitalocean":
            shape = SHAPES[source.provider]
            return Catalogue(source.provider, url, shape, session, targets, interval_s, source.model_aliases)
        case "prometheus":
            return Prometheus(url, source.query or "", source.label, session, targets, interval_s)
        case "envoy":
            return EnvoyStats(url, session, targets, interval_s, time.monotonic)
