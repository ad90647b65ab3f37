"""From a configuration to its sources, and from their readings to what is known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from router_service.config.load import Loaded, loads
from router_service.routing.ranking import Prefer, Standings
from router_service.selection.envoy import EXPLORED
from router_service.selection.opening import INTERVALS_S, Selection, kept_up_to_date, open_selection
from router_service.selection.poller import Unwatched
from router_service.selection.source import Source

MODELS = """
model_providers:
  - {model: vllm/a, base_url: "http://vllm:8000", default: true}
  - {model: vllm/b, base_url: "http://vllm:8000"}
  - {model: vllm/c, base_url: "http://vllm:8000"}
"""
BOTH = """
model_aliases:
  cheap: {targets: [a, b], selection_policy: {prefer: cheapest}}
  fast: {targets: [b, c], selection_policy: {prefer: fastest}}
"""
FILE = "{type: cost, file: prices.yaml}"
CATALOGUE = "{type: cost, provider: models.dev, url: 'http://127.0.0.1:1/', refresh_interval: 2h}"
PROMETHEUS = "{type: latency, provider: prometheus, url: 'http://127.0.0.1:1', query: up}"


def loaded(folder: Path, policies: str, *sources: str) -> Loaded:
    (folder / "prices.yaml").write_text("vllm/a: 2\nvllm/c: 1\n")
    text = f"{MODELS}{policies}\nmodel_metrics_sources: [{', '.join(sources)}]\n"
    return loads(text, {}, file=str(folder / "config.yaml"))


class Fixed:
    """A source with one answer."""

    interval_s = 1000.0

    def __init__(self, name: str, numbers: Mapping[str, float]) -> None:
        self.name = name
        self._numbers = numbers

    async def read(self) -> Mapping[str, float]:
        return self._numbers


class Silent(Fixed):
    async def read(self) -> Mapping[str, float]:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("policies", "sources", "opened"),
    [
        pytest.param(
            BOTH, (FILE, CATALOGUE), [("file", 1.0), ("models.dev", 7200.0), ("envoy", 10.0)], id="by default Envoy"
        ),
        pytest.param(BOTH, (FILE, PROMETHEUS), [("file", 1.0), ("prometheus", 60.0)], id="Prometheus"),
        pytest.param("", (FILE, PROMETHEUS), [], id="what no policy needs is not read"),
    ],
)
async def test_the_sources_that_the_policies_need_are_opened(
    tmp_path: Path, policies: str, sources: tuple[str, ...], opened: list[tuple[str, float]]
) -> None:
    file = loaded(tmp_path, policies, *sources)
    async with open_selection(file.config, file.catalog, Unwatched()) as selection:
        assert [(poller.source.name, poller.source.interval_s) for poller in selection.pollers] == opened


async def test_only_what_is_on_this_machines_disk_is_opened_if_asked_for(tmp_path: Path) -> None:
    file = loaded(tmp_path, BOTH, FILE, CATALOGUE)
    async with open_selection(file.config, file.catalog, Unwatched(), only_files=True) as selection:
        [poller] = selection.pollers
        await poller.poll()
        assert selection.standings == Standings({"vllm/a": 2.0})


async def test_of_several_prices_the_first_source_counts() -> None:
    first, second = Fixed("file", {"a": 1.0}), Fixed("models.dev", {"a": 9.0, "b": 2.0})
    selection = Selection([first, second], None, Unwatched())
    for poller in reversed(selection.pollers):
        await poller.poll()
    assert selection.standings == Standings({"a": 1.0, "b": 2.0})


async def test_only_where_requests_measure_models_are_tried_out(tmp_path: Path) -> None:
    explored = {}
    for sources in ((FILE,), (FILE, PROMETHEUS)):
        file = loaded(tmp_path, BOTH, *sources)
        async with open_selection(file.config, file.catalog, Unwatched()) as selection:
            [prices], [latencies] = selection.read_for(Prefer.CHEAPEST), selection.read_for(Prefer.FASTEST)
            await prices.poll()
            explored[latencies.source.name] = selection.standings.explored
    assert explored == {"envoy": EXPLORED, "prometheus": 0.0}


async def test_what_was_read_is_a_value_that_the_next_reading_replaces() -> None:
    selection = Selection([Fixed("file", {"a": 1.0})], None, Unwatched())
    before = selection.standings
    await selection.pollers[0].poll()
    assert (before, selection.standings) == (Standings(), Standings({"a": 1.0}))


async def test_serving_begins_with_what_answers_at_once_and_does_not_wait_for_the_rest() -> None:
    sources: list[Source] = [Fixed("file", {"a": 1.0}), Silent("models.dev", {})]
    selection = Selection(sources, None, Unwatched())
    async with kept_up_to_date(selection, wait_s=0.05):
        assert selection.standings == Standings({"a": 1.0})


def test_every_kind_of_source_has_an_interval() -> None:
    assert set(INTERVALS_S) == {"file", "models.dev", "digitalocean", "prometheus", "envoy"}
