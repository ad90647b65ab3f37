"""Reading again and again: the last good answer stays, and whoever watches is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from router_service.routing.catalog import Model, Target
from router_service.selection.catalogues import SHAPES, Catalogue
from router_service.selection.poller import FIRST_RETRY_S, JITTER, Poller, pause_s
from router_service.selection.price_file import PriceFile
from router_service.selection.prometheus import Prometheus
from router_service.selection.source import Source, SourceFailed
from tests.support.providers import Provider, Received, Respond

GPT_5 = Target(Model("openai/gpt-5", "openai", "gpt-5"), "gpt-5")


@dataclass
class Told:
    """A watcher that keeps what it was told; `new` is what makes a log line."""

    all: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)

    def source_read(self, source: str, models: int, at: float, *, is_new: bool) -> None:
        self._add(f"{source}: {models} at {at:g}", is_new)

    def source_failed(self, source: str, why: str, *, is_new: bool) -> None:
        self._add(f"{source}: {why}", is_new)

    def _add(self, line: str, is_new: bool) -> None:
        self.all.append(line)
        self.new += [line] if is_new else []


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


def catalogue(price: float, **more: object) -> Respond:
    body = {"openai": {"models": {"gpt-5": {"cost": {"input": price, "output": price}}}}, **more}

    async def respond(_: web.Request, __: Received) -> web.StreamResponse:
        return web.Response(text=json.dumps(body))

    return respond


def answers(status: int, text: str) -> Respond:
    async def respond(_: web.Request, __: Received) -> web.StreamResponse:
        return web.Response(status=status, text=text)

    return respond


async def hangs(_: web.Request, __: Received) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def breaks_off(request: web.Request, _: Received) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(b'{"openai": ')
    assert request.transport is not None
    request.transport.abort()
    return response


@asynccontextmanager
async def polled(told: Told, clock: Clock) -> AsyncIterator[tuple[Provider, Poller]]:
    """A catalogue's server, and the poller of it."""
    async with Provider() as server, aiohttp.ClientSession() as session:
        url = URL(f"http://127.0.0.1:{server.port}/api.json")
        source = Catalogue("models.dev", url, SHAPES["models.dev"], session, [GPT_5], 3600.0, {"theirs/x": "openai/x"})
        yield server, Poller(source, told, clock=clock, timeout_s=0.2)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        pytest.param(answers(500, "sorry"), "HTTP 500", id="500"),
        pytest.param(answers(200, "<html>"), "not models.dev's shape: DecodeError", id="not JSON"),
        pytest.param(answers(200, "[1, 2]"), "not models.dev's shape: ValidationError", id="another shape"),
        pytest.param(answers(200, "{}"), "no model has a price", id="nothing in it"),
        pytest.param(hangs, "no answer within 0.2 s", id="a hang"),
        pytest.param(breaks_off, "ClientPayloadError", id="an answer that breaks off"),
    ],
)
async def test_after_a_failure_the_last_good_answer_stays_and_grows_older(wrong: Respond, why: str) -> None:
    told, clock = Told(), Clock()
    async with polled(told, clock) as (server, poller):
        server.respond = catalogue(2.0)
        await poller.poll()
        server.respond = wrong
        clock.now_s += 60
        await poller.poll()
        await poller.poll()
        assert (poller.numbers, poller.read_at, poller.failure) == ({"openai/gpt-5": 2.0}, 1000.0, why)
        server.respond = catalogue(3.0)
        await poller.poll()
        assert (poller.numbers, poller.read_at, poller.failure) == ({"openai/gpt-5": 3.0}, 1060.0, None)
    assert told.all == ["models.dev: 1 at 1000", f"models.dev: {why}", f"models.dev: {why}", "models.dev: 1 at 1060"]
    assert told.new == ["models.dev: 1 at 1000", f"models.dev: {why}", "models.dev: 1 at 1060"]


async def test_a_source_that_was_never_read_knows_nothing_and_is_told_once() -> None:
    told = Told()
    async with polled(told, Clock()) as (server, poller):
        server.respond = answers(503, "")
        for _ in range(3):
            await poller.poll()
    assert (poller.numbers, poller.read_at, poller.tried.is_set()) == ({}, None, True)
    assert (told.new, len(told.all)) == (["models.dev: HTTP 503"], 3)


async def test_an_alias_gives_a_model_here_the_price_of_one_there() -> None:
    model = Target(Model("openai/x", "openai", "x"), "x")
    async with Provider() as server, aiohttp.ClientSession() as session:
        server.respond = catalogue(2.0, theirs={"models": {"x": {"cost": {"input": 1, "output": 1}}}})
        url = URL(f"http://127.0.0.1:{server.port}/")
        source = Catalogue("models.dev", url, SHAPES["models.dev"], session, [model], 1.0, {"theirs/x": "openai/x"})
        assert await source.read() == {"openai/x": 1.0}


async def test_every_page_of_a_catalogue_is_read() -> None:
    async def page(request: web.Request, _: Received) -> web.StreamResponse:
        number = int(request.query.get("page", "1"))
        pricing = {"input_price_per_million": number, "output_price_per_million": number}
        links = {"pages": {"next": f"/catalog?page={number + 1}"} if number < 3 else {}}
        return web.json_response({"data": [{"model_id": f"m{number}", "pricing": pricing}], "links": links})

    targets = [Target(Model(f"digitalocean/m{n}", "digitalocean", f"m{n}"), f"m{n}") for n in (1, 2, 3)]
    async with Provider() as server, aiohttp.ClientSession() as session:
        server.respond = page
        url = URL(f"http://127.0.0.1:{server.port}/catalog")
        source = Catalogue("digitalocean", url, SHAPES["digitalocean"], session, targets, 1.0, {})
        assert await source.read() == {"digitalocean/m1": 1, "digitalocean/m2": 2, "digitalocean/m3": 3}


async def test_a_next_page_without_an_address_is_a_failure() -> None:
    async def page(_: web.Request, __: Received) -> web.StreamResponse:
        return web.json_response({"data": [], "links": {"pages": {"next": "http://[no address"}}})

    async with Provider() as server, aiohttp.ClientSession() as session:
        server.respond = page
        url = URL(f"http://127.0.0.1:{server.port}/catalog")
        source = Catalogue("digitalocean", url, SHAPES["digitalocean"], session, [GPT_5], 1.0, {})
        with pytest.raises(SourceFailed, match="its next page has no address"):
            await source.read()


@pytest.mark.parametrize("base", ["", "/", "/prometheus", "/prometheus/"])
async def test_prometheus_is_asked_below_its_base_url(base: str) -> None:
    async def vector(_: web.Request, __: Received) -> web.StreamResponse:
        sample = {"metric": {"model_name": "openai/gpt-5"}, "value": [0, "0.5"]}
        return web.json_response({"data": {"result": [sample]}})

    query = "histogram_quantile(0.5, sum by (le) (rate(x_bucket[5m]))) + 1"
    async with Provider() as server, aiohttp.ClientSession() as session:
        server.respond = vector
        url = URL(f"http://127.0.0.1:{server.port}{base}")
        assert await Prometheus(url, query, "model_name", session, [GPT_5], 1.0).read() == {"openai/gpt-5": 0.5}
    asked = URL(server.last.path)
    assert (asked.path, asked.query["query"]) == (f"{base.rstrip('/')}/api/v1/query", query)


@pytest.mark.parametrize(
    ("interval_s", "failures", "expected_s"),
    [
        pytest.param(3600, 0, 3600, id="read"),
        pytest.param(3600, 1, FIRST_RETRY_S, id="failed once: soon again"),
        pytest.param(3600, 3, FIRST_RETRY_S * 4, id="less and less often"),
        pytest.param(3600, 999, 3600, id="up to the interval"),
        pytest.param(1, 1, 1, id="never less often than its interval"),
    ],
)
def test_the_pause_depends_on_how_it_went(interval_s: float, failures: int, expected_s: float) -> None:
    assert pause_s(interval_s, failures, 0.5) == expected_s
    spread = (pause_s(interval_s, failures, 0.0), pause_s(interval_s, failures, 1.0))
    assert spread == pytest.approx((expected_s * (1 - JITTER), expected_s * (1 + JITTER)))


@dataclass
class Scripted:
    """A source that answers in turn; the last answer again and again."""

    name = "file"
    interval_s = 100.0
    turns: list[Mapping[str, float]]

    async def read(self) -> Mapping[str, float]:
        return self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]


async def test_a_running_poller_reads_on_its_interval() -> None:
    paused: list[float] = []
    changed: list[Mapping[str, float]] = []
    done = asyncio.Event()

    async def sleep(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 3:
            done.set()
            await asyncio.Event().wait()

    source: Source = Scripted([{"m": 1.0}, {"m": 2.0}, {"m": 3.0}])
    poller = Poller(source, Told(), changed=lambda: changed.append(poller.numbers), sleep=sleep, draw=lambda: 0.5)
    task = asyncio.create_task(poller.run())
    await done.wait()
    task.cancel()
    assert paused == [100.0] * 3
    assert changed == [{"m": 1.0}, {"m": 2.0}, {"m": 3.0}]


def write(path: Path, text: str) -> None:
    """As Kubernetes and editors do: another file renamed over it."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        pytest.param(lambda path: write(path, "gpt"), "line 1: is not a mapping of models", id="not a mapping"),
        pytest.param(
            lambda path: write(path, "a: 1\nopenai/gpt-5: cheap"),
            'line 2: ["openai/gpt-5"] is not a price',
            id="not a price",
        ),
        pytest.param(remove, "No such file or directory", id="gone"),
        pytest.param(lambda path: path.write_bytes(b"\xff\xfe\xfa"), "not UTF-8 text", id="not text"),
        pytest.param(lambda path: write(path, "#" * (2**20 + 1)), "larger than 1048576 bytes", id="too large"),
    ],
)
async def test_a_file_of_prices_is_read_when_it_changes_and_a_mistake_changes_nothing(
    tmp_path: Path, spoil: Callable[[Path], None], why: str
) -> None:
    path = tmp_path / "prices.yaml"
    write(path, "openai/gpt-5: {input: 1, output: 5}\nother/model: 1")
    poller = Poller(PriceFile(path, [GPT_5], 1.0), Told())
    await poller.poll()
    assert poller.numbers == {"openai/gpt-5": 2.0}
    spoil(path)
    await poller.poll()
    assert (poller.numbers, poller.failure) == ({"openai/gpt-5": 2.0}, why)
    write(path, "openai/gpt-5: 3")
    await poller.poll()
    assert (poller.numbers, poller.failure) == ({"openai/gpt-5": 3.0}, None)
