"""Latencies as Envoy measured them: the median time to the first byte of each model's answers over the last minutes.

Envoy keeps a histogram for each model (`dataplane.first_byte`), counted since it started. What lies between two looks
at it is what happened in that time, so the looks of the last minutes are kept. Until there are as many minutes,
everything since Envoy started counts.
https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--stats?histogram_buckets=detailed
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import aiohttp
import msgspec
from yarl import URL

from router_service.routing.catalog import Target
from router_service.selection.source import SourceFailed, fetch

# Long enough for a quiet hour to have some requests, short enough for a slow afternoon to be noticed.
WINDOW_S = 600.0
# One answer may be slow by chance. Fewer than these in the window are no measurement.
LEAST_ANSWERS = 3
# One request in twenty begins with a model that was not measured: enough to measure it within a hundred requests.
EXPLORED = 0.05

STAT_PREFIX = "router.first_byte_ms.model."

Bins = Mapping[tuple[float, float], int]  # how many answers by the lower bound and the width of a bin, in milliseconds
Totals = Mapping[str, Bins]  # by model, since Envoy started
_NOTHING: Bins = MappingProxyType({})


class Bin(msgspec.Struct):
    lower_bound: float
    width: float
    count: int


class Histogram(msgspec.Struct):
    name: str
    totals: list[Bin] = []


class Details(msgspec.Struct):
    details: list[Histogram] = []


class Stat(msgspec.Struct):
    histograms: Details | None = None


class Stats(msgspec.Struct):
    stats: list[Stat]


def read_totals(body: bytes) -> Totals:
    """What Envoy's admin answers. Raises msgspec.DecodeError."""
    return {
        histogram.name.removeprefix(STAT_PREFIX): {
            (found.lower_bound, found.width): found.count for found in histogram.totals
        }
        for stat in msgspec.json.decode(body, type=Stats).stats
        for histogram in (stat.histograms.details if stat.histograms else ())
        if histogram.name.startswith(STAT_PREFIX)
    }


def median_s(bins: Bins) -> float | None:
    """The time that half of the answers took at most, in seconds; None for too few answers."""
    answers = sum(bins.values())
    if answers < LEAST_ANSWERS:
        return None
    below, half = 0, answers / 2
    for (lower_ms, width_ms), count in sorted(bins.items()):
        if below + count >= half:
            return (lower_ms + width_ms * (half - below) / count) / 1e3
        below += count
    raise AssertionError("half of the answers are in no bin")


@dataclass(slots=True)
class Window:
    """The looks of the last minutes, the oldest first."""

    _looks: deque[tuple[float, Totals]] = field(default_factory=deque, init=False)

    def add(self, totals: Totals, now_s: float) -> Mapping[str, float]:
        """Another look; the median of every model that has enough answers in the window."""
        if not self._looks or _has_started_anew(self._looks[-1][1], totals):
            self._looks.clear()
            self._looks.append((now_s, {}))
        self._looks.append((now_s, totals))
        while self._looks[1][0] <= now_s - WINDOW_S:
            self._looks.popleft()
        oldest = self._looks[0][1]
        medians = {model: median_s(_since(oldest.get(model, _NOTHING), bins)) for model, bins in totals.items()}
        return {model: median for model, median in medians.items() if median is not None}


def _has_started_anew(before: Totals, now: Totals) -> bool:
    """Counts only grow while Envoy runs."""
    return any(
        now.get(model, _NOTHING).get(edges, 0) < n for model, bins in before.items() for edges, n in bins.items()
    )


def _since(before: Bins, now: Bins) -> Bins:
    return {edges: count - before.get(edges, 0) for edges, count in now.items() if count > before.get(edges, 0)}


@dataclass(slots=True)
class EnvoyStats:
    """`url` is Envoy's admin address."""

    url: URL
    session: aiohttp.ClientSession
    targets: Sequence[Target]
    interval_s: float
    clock: Callable[[], float]
    name: str = "envoy"
    _window: Window = field(default_factory=Window, init=False)

    async def read(self) -> Mapping[str, float]:
        query = {
            "filter": "^" + STAT_PREFIX.replace(".", r"\."),
            "type": "Histograms",
            "usedonly": "",
            "format": "json",
            "histogram_buckets": "detailed",
        }
        body = await fetch(self.session, (self.url / "stats").with_query(query))
        try:
            totals = read_totals(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SourceFailed(f"not Envoy's statistics: {type(error).__name__}") from error
        medians = self._window.add(totals, self.clock())
        return {target.key: medians[target.key] for target in self.targets if target.key in medians}
