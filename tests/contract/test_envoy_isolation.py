"""Isolation between attempts, as a property over random pools, failures and bodies.

Invariant: whatever failed before, a provider sees its own credential, host, path, query and model id and the client's
request otherwise, byte by byte; never a header, a key or an id of another model of the pool.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router_service.config.models import Config
from tests.contract.conftest import CHAT, Client
from tests.support.envoy import Envoy, never_left_alone, write_rendered
from tests.support.ports import refused_port
from tests.support.providers import Provider, Received, answer_ok, answers, resets
from tests.support.worker import Counts, Names, start_worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENT_KEY = "sk-the-clients-own"
OUTCOMES = {"ok": answer_ok, "429": answers(429), "500": answers(500), "503": answers(503), "reset": resets}


@dataclass(frozen=True, slots=True)
class Model:
    """An entry of the file, and what a request to it must look like."""

    entry: dict[str, object]
    path: str
    host: str
    key: tuple[str, str]

    @property
    def name(self) -> str:
        return str(self.entry["model"])

    @property
    def id(self) -> str:
        return self.name.partition("/")[2]


def models(ports: Sequence[int], refused: int) -> list[Model]:
    """Six that differ in all that can differ, two of them on one server, and one where nobody listens."""
    a, b = (f"127.0.0.1:{port}" for port in ports)

    def bearer(key: str) -> tuple[str, str]:
        return "authorization", f"Bearer {key}"

    return [
        Model({"model": "one/alpha-1", "base_url": f"http://{a}", "access_key": "sk-1"}, CHAT, a, bearer("sk-1")),
        Model(
            {"model": "two/beta/2", "base_url": f"http://{b}/openai/v1", "access_key": "sk-2"},
            "/openai/v1/chat/completions",
            b,
            bearer("sk-2"),
        ),
        Model(
            {
                "model": "azure_openai/gamma-3",
                "base_url": f"http://{a}",
                "access_key": "sk-3",
                "headers": {"X-Own": "hd-3"},
            },
            "/openai/deployments/gamma-3/chat/completions?api-version=2025-01-01-preview",
            a,
            ("api-key", "sk-3"),
        ),
        Model(
            {"model": "four/delta-4", "base_url": f"http://{b}", "access_key": "sk-4", "http_host": "llm.internal"},
            CHAT,
            "llm.internal",
            bearer("sk-4"),
        ),
        Model(
            {"model": "five/alpha-1", "base_url": f"http://{b}/five?tenant=5", "access_key": "sk-5"},
            "/five/chat/completions?tenant=5",
            b,
            bearer("sk-5"),
        ),
        Model(
            {"model": "down/omega-6", "base_url": f"http://127.0.0.1:{refused}", "access_key": "sk-6"},
            CHAT,
            "",
            bearer("sk-6"),
        ),
    ]


SIX = range(6)
POOLS = [pool for size in (2, 3) for pool in itertools.permutations(SIX, size)] + [tuple(SIX), tuple(reversed(SIX))]


@dataclass(frozen=True, slots=True)
class Plane:
    client: Client
    providers: Sequence[Provider]
    models: Sequence[Model]

    def receive(self, outcomes: Sequence[str]) -> list[Received]:
        """Let request N of the next pool end as `outcomes` says; gives the list that fills with what arrives."""
        arrived: list[Received] = []
        turns = iter(outcomes)

        async def respond(request: web.Request, received: Received) -> web.StreamResponse:
            arrived.append(received)
            return await OUTCOMES[next(turns, "ok")](request, received)

        for provider in self.providers:
            provider.respond = respond
        return arrived


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    directory = tmp_path_factory.mktemp("isolation")
    async with AsyncExitStack() as stack:
        providers = [await stack.enter_async_context(Provider()) for _ in range(2)]
        known = models([provider.port for provider in providers], stack.enter_context(refused_port()))
        config = Config.model_validate(
            {
                "listeners": [{"name": "egress", "address": "127.0.0.1"}],
                "model_providers": [model.entry for model in known],
                "model_aliases": {
                    f"pool-{number}": {"targets": [known[place].name for place in pool]}
                    for number, pool in enumerate(POOLS)
                },
                "service": {"drain_delay": "0s", "drain_timeout": "1s"},
            }
        )
        worker = await start_worker(stack, config, directory, Names(""), Counts())
        write_rendered(config, directory, [worker], edit=never_left_alone)
        envoy = await stack.enter_async_context(Envoy(directory))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        yield Plane(Client(session, f"http://127.0.0.1:{envoy.port('egress')}"), providers, known)


HEADER_VALUES = st.text("abcdefghij 0123456789,;=\"'", max_size=30).map(str.strip)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    number=st.integers(0, len(POOLS) - 1),
    outcomes=st.lists(st.sampled_from(sorted(OUTCOMES)), max_size=6),
    text=st.text(max_size=40),
    ascii_only=st.booleans(),
    own=st.dictionaries(st.sampled_from(["x-team", "traceparent", "openai-organization", "accept"]), HEADER_VALUES),
)
async def test_every_attempt_is_the_clients_request_with_what_is_its_own(
    *, plane: Plane, number: int, outcomes: list[str], text: str, ascii_only: bool, own: dict[str, str]
) -> None:
    arrived = plane.receive(outcomes)
    rest = f', "seed":12345678901234567890,"messages" : {json.dumps([text], ensure_ascii=ascii_only)}}}'
    body = f'{{"model": "pool-{number}"{rest}'.encode("utf-8", "replace")

    reply = await plane.client.post(
        body=body,
        headers={**own, "authorization": f"Bearer {CLIENT_KEY}", "api-key": CLIENT_KEY, "x-router-attempt-model": "x"},
    )

    pool = [plane.models[place] for place in POOLS[number]]
    ids = [model.id for model in pool]
    asked = [_find(plane, received) for received in arrived]
    assert asked == [model for model in pool if model in asked], "in the order of the pool, each at most once"
    assert reply.headers["x-router-model"] == pool[0].name
    if reply.status == 200:
        assert reply.headers["x-router-served-by"] == asked[-1].name
    for received, model in zip(arrived, asked, strict=True):
        assert received.body == body.replace(f'"pool-{number}"'.encode(), json.dumps(model.id).encode())
        assert received.headers["content-length"] == str(len(received.body))
        assert (received.path, received.headers["host"]) == (model.path, model.host)
        assert received.headers[model.key[0]] == model.key[1]
        assert {name: received.headers[name] for name in own} == own
        said = str(received.headers.items())
        assert [key for key in ("sk-1", "sk-2", "sk-3", "sk-4", "sk-5", "sk-6", CLIENT_KEY) if key in said] == [
            model.key[1].removeprefix("Bearer ")
        ]
        assert ("hd-3" in said) == (model.name == "azure_openai/gamma-3")
        assert not [name for name in received.headers if name.lower().startswith(("x-router-", "x-envoy-"))]
        assert [id_ for id_ in ids if id_ in f"{said} {received.path}" and id_ not in model.path] == []


def _find(plane: Plane, received: Received) -> Model:
    """The model whose key a request carries; each has one of its own."""
    [found] = [model for model in plane.models if received.headers.get(model.key[0]) == model.key[1]]
    return found
