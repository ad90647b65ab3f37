"""Latencies from a query to Prometheus, whose answer has one number for each model.

https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import msgspec
from yarl import URL

from router_service.routing.catalog import Target
from router_service.selection.source import SourceFailed, fetch, known


class Sample(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]  # when, and a number that may be NaN or +Inf


class Result(msgspec.Struct):
    result: list[Sample]


class Answer(msgspec.Struct):
    data: Result


def read_vector(body: bytes, label: str) -> Mapping[str, float]:
    """The numbers of an instant vector by one of its labels. Raises msgspec.DecodeError, or ValueError for no number.

    NaN, which a quantile of nothing is, and what has no such label say nothing.
    """
    samples = msgspec.json.decode(body, type=Answer).data.result
    numbers = {sample.metric[label]: float(sample.value[1]) for sample in samples if label in sample.metric}
    return {model: number for model, number in numbers.items() if math.isfinite(number)}


@dataclass(frozen=True, slots=True)
class Prometheus:
    url: URL
    query: str
    label: str
    session: aiohttp.ClientSession
    targets: Sequence[Target]
    interval_s: float
    name: str = "prometheus"

    async def read(self) -> Mapping[str, float]:
        body = await fetch(self.session, (self.url / "api/v1/query").with_query(query=self.query))
        try:
            numbers = read_vector(body, self.label)
        except (ValueError, RecursionError) as error:  # msgspec's and unicode's errors are ValueErrors
            raise SourceFailed(f"not an instant vector: {type(error).__name__}") from error
        return known(self.targets, numbers)
