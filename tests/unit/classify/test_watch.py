"""When a server is probed, what is remembered of it, and what is told about it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from yarl import URL

from router_service.classify.facts import Facts
from router_service.classify.model_server import Address, Failure, ServedModel, ServerFailed
from router_service.classify.replicas import Replicas
from router_service.classify.watch import Watch
from router_service.routing.breaker import Policy
from tests.unit.classify.fakes import SERVED, Clock, FakeBackend, FakeServer, unreachable
from tests.unit.classify.test_replicas import Names

FACTS = Facts(SERVED, serves_model=True, version="0.32.0")


@dataclass
class Told:
    lines: list[str] = field(default_factory=list)
    something: asyncio.Event = field(default_factory=asyncio.Event)

    def found(self, address: str, facts: Facts) -> None:
        self.something.set()
        self.lines.append(f"found {address} {facts.version}")

    def lost(self, address: str, why: str) -> None:
        self.lines.append(f"lost {address} {why}")


class Fixture:
    def __init__(self, *urls: str, names: Names | None = None) -> None:
        self.servers: dict[str, FakeServer] = {}
        self.told = Told()
        self.backend = FakeBackend({}, facts=FACTS)
        self.replicas = Replicas(urls, self.connect, resolver=names or Names(), policy=Policy(), clock=Clock())
        self.watch = Watch(self.replicas, self.backend, self.told, prompt="hello")

    def connect(self, address: Address) -> FakeServer:
        server = self.servers[str(address)] = FakeServer(address=address)
        return server


async def test_a_new_replica_is_probed_once_and_told() -> None:
    fixture = Fixture("http://10.0.0.1:8000")
    for _ in range(3):
        await fixture.watch.look()
    assert fixture.backend.probed == ["10.0.0.1"]
    assert fixture.replicas.known[0].facts == FACTS
    assert fixture.told.lines == ["found http://10.0.0.1:8000 0.32.0"]


async def test_a_server_that_goes_and_comes_back_is_told_once_each_and_probed_again() -> None:
    fixture = Fixture("http://10.0.0.1:8000")
    await fixture.watch.look()
    server = fixture.servers["http://10.0.0.1:8000"]
    server.served = unreachable()
    for _ in range(3):
        await fixture.watch.look()
    assert fixture.replicas.known[0].facts is None
    server.served = SERVED
    await fixture.watch.look()
    assert fixture.backend.probed == ["10.0.0.1"] * 2
    assert fixture.told.lines == [
        "found http://10.0.0.1:8000 0.32.0",
        "lost http://10.0.0.1:8000 ClientConnectorError",
        "found http://10.0.0.1:8000 0.32.0",
    ]


async def test_a_server_that_serves_other_weights_is_probed_again() -> None:
    fixture = Fixture("http://10.0.0.1:8000")
    await fixture.watch.look()
    fixture.servers["http://10.0.0.1:8000"].served = (ServedModel("Arch-Router", root="another/model"),)
    await fixture.watch.look()
    assert fixture.backend.probed == ["10.0.0.1"] * 2


async def test_a_server_without_a_list_of_models_is_probed_all_the_same() -> None:
    fixture = Fixture("http://10.0.0.1:8000")
    fixture.backend.facts = Facts((), serves_model=True)
    await fixture.replicas.refresh()
    fixture.servers["http://10.0.0.1:8000"].served = ServerFailed(Failure.STATUS, "HTTP 404")
    for _ in range(2):
        await fixture.watch.look()
    assert fixture.backend.probed == ["10.0.0.1"]


async def test_a_probe_that_fails_is_told_with_what_went_wrong() -> None:
    fixture = Fixture("http://10.0.0.1:8000")
    fixture.backend.facts = ServerFailed(Failure.STATUS, "HTTP 500")
    await fixture.watch.look()
    assert fixture.told.lines == ["lost http://10.0.0.1:8000 HTTP 500"]


async def test_a_name_that_cannot_be_looked_up_is_told_once_until_it_can() -> None:
    names = Names()
    fixture = Fixture("http://arch:8000", names=names)
    for _ in range(2):
        await fixture.watch.look()
    names.addresses["arch"] = ["10.0.0.7"]
    await fixture.watch.look()
    assert fixture.told.lines == ["lost  no address is known for router.url", "found http://10.0.0.7:8000 0.32.0"]


async def test_an_address_never_shows_what_a_url_may_hide() -> None:
    assert str(Address(URL("http://10.0.0.1:8000/v1?key=secret"), "arch")) == "http://10.0.0.1:8000"


async def test_watching_goes_on_in_the_background_until_closed() -> None:
    fixture = Fixture("http://10.0.0.1:8000")
    told = fixture.told
    fixture.watch.start()
    await told.something.wait()
    await fixture.watch.aclose()
    assert fixture.backend.probed == ["10.0.0.1"]
