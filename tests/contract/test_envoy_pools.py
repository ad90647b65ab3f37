"""Pools: a preference's models are tried in order, each attempt with what is its own and nothing of another's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from router_service.config.models import Config
from tests.contract.conftest import CHAT, Client, Reply
from tests.support.envoy import Envoy, never_left_alone, write_rendered
from tests.support.providers import Provider, Received, answer_ok, answers, resets
from tests.support.worker import Counts, Names, start_worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

IDS = ("first-1", "second-2", "third/3")
MAX_BODY_BYTES = 2 * 1024**2
ROOM_FOR_THE_ID = 16
KEYS = ("sk-first", "sk-second", "sk-third")
# An integer beyond 2^53, odd spacing and an escape: what a parser that prints again would change.
BODY = b'{ "model" : "auto","seed":12345678901234567890, "messages":[{"role":"user","content":"caf\\u00e9 \xc3\xa9"}]}'


def body_for(model_id: str) -> bytes:
    return BODY.replace(b'"auto"', json.dumps(model_id).encode())


@dataclass(slots=True)
class Pools:
    """Envoy, a real worker, and a provider for each model of the pool `three`."""

    envoy: Envoy
    client: Client
    bounded: Client
    names: Names
    told: Counts
    providers: Sequence[Provider]

    @property
    def attempts(self) -> list[int]:
        """How many requests each provider got."""
        return [len(provider.received) for provider in self.providers]

    async def post(self, route: str = "three", *, body: bytes = BODY) -> Reply:
        self.names.route = route
        return await self.client.post(body=body)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_pools(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pools]:
    directory = tmp_path_factory.mktemp("pools")
    async with AsyncExitStack() as stack:
        providers = [await stack.enter_async_context(Provider()) for _ in IDS]
        first, second, third = (f"http://127.0.0.1:{provider.port}" for provider in providers)
        config = Config.model_validate(
            {
                "listeners": [
                    {"name": "egress", "address": "127.0.0.1"},
                    {"name": "bounded", "address": "127.0.0.1", "max_retries": 1},
                ],
                "limits": {"max_body_bytes": MAX_BODY_BYTES, "first_byte_timeout": "2s"},
                "model_providers": [
                    {"model": f"one/{IDS[0]}", "base_url": first, "access_key": KEYS[0]},
                    {"model": "two/*", "base_url": f"{second}/openai/v1", "access_key": KEYS[1]},
                    {
                        "model": f"azure_openai/{IDS[2]}",
                        "name": "third",
                        "base_url": third,
                        "access_key": KEYS[2],
                        "headers": {"X-Team": "search"},
                        "http_host": "llm.internal",
                    },
                ],
                "routing_preferences": [
                    {
                        "name": name,
                        "description": "requests of this kind",
                        "models": [f"one/{IDS[0]}", f"two/{IDS[1]}", "third"],
                    }
                    for name in ("three", "Übersetzung 翻訳 1.5%")
                ]
                + [
                    {"name": "wild", "description": "two of one entry", "models": ["two/a", "two/b"]},
                    {"name": "single", "description": "one alone", "models": [f"two/{IDS[1]}"]},
                ],
                "service": {"drain_delay": "0s", "drain_timeout": "1s"},
            }
        )
        names, told = Names("three"), Counts()
        worker = await start_worker(stack, config, directory, names, told)
        write_rendered(config, directory, [worker], edit=never_left_alone)
        envoy = await stack.enter_async_context(Envoy(directory))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        client, bounded = (Client(session, f"http://127.0.0.1:{envoy.port(name)}") for name in ("egress", "bounded"))
        yield Pools(envoy, client, bounded, names, told, providers)


@pytest.fixture
def pools(running_pools: Pools) -> Pools:
    running_pools.told.streams = 0
    running_pools.told.decisions.clear()
    for provider in running_pools.providers:
        provider.respond = answer_ok
        provider.received.clear()
    return running_pools


async def test_a_first_model_that_answers_is_the_only_one_asked_and_costs_one_exchange(pools: Pools) -> None:
    reply = await pools.post()
    assert (reply.status, pools.attempts) == (200, [1, 0, 0])
    assert (reply.headers["x-router-served-by"], reply.headers["x-router-attempts"]) == ("one/first-1", "1")
    assert pools.told.streams == 1
    assert pools.providers[0].last.body == body_for(IDS[0])


async def test_after_429_and_a_reset_the_third_serves_and_streams_event_by_event(pools: Pools) -> None:
    go_on = asyncio.Event()

    async def streams(request: web.Request, _: Received) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await go_on.wait()  # until the client has the first
        await response.write(b"data: 2\n\n")
        return response

    pools.names.route = "three"
    pools.providers[0].respond = answers(429)
    pools.providers[1].respond = resets
    pools.providers[2].respond = streams
    async with pools.client.session.post(pools.client.base_url + CHAT, data=BODY) as response:
        assert response.status == 200
        assert response.headers["x-router-model"] == "one/first-1"
        assert response.headers["x-router-served-by"] == "azure_openai/third/3"
        assert response.headers["x-router-attempts"] == "3"
        assert await response.content.readline() == b"data: 1\n"
        go_on.set()
        assert await response.content.read() == b"\ndata: 2\n\n"
    assert pools.attempts == [1, 1, 1]
    assert [decision.upstream for decision in pools.told.decisions] == ["pool/three"]
    assert pools.told.streams == 3  # the decision, and an edit of the body for each later attempt


async def test_each_attempt_gets_its_own_path_host_credential_and_model_and_nothing_of_another(pools: Pools) -> None:
    for provider in pools.providers[:2]:
        provider.respond = answers(503)
    assert (await pools.post()).status == 200
    first, second, third = (provider.last for provider in pools.providers)
    assert [received.body for received in (first, second, third)] == [body_for(id_) for id_ in IDS]
    assert first.path == CHAT
    assert second.path == "/openai/v1/chat/completions"
    assert third.path.startswith(f"/openai/deployments/{IDS[2]}/chat/completions?api-version=")
    assert first.headers["authorization"] == f"Bearer {KEYS[0]}"
    assert second.headers["authorization"] == f"Bearer {KEYS[1]}"
    assert third.headers["api-key"] == KEYS[2]
    assert third.headers["host"] == "llm.internal"
    for received, key in zip((first, second, third), KEYS, strict=True):
        assert [other for other in KEYS if other in str(received.headers)] == [key]
        assert not [name for name in received.headers if name.lower().startswith(("x-router-", "x-envoy-"))]
        assert received.headers["content-length"] == str(len(received.body))
    assert "authorization" not in third.headers
    assert [("x-team" in received.headers) for received in (first, second, third)] == [False, False, True]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
async def test_an_overloaded_or_broken_provider_is_followed_by_the_next(pools: Pools, status: int) -> None:
    pools.providers[0].respond = answers(status)
    reply = await pools.post()
    assert (reply.status, pools.attempts) == (200, [1, 1, 0])
    assert reply.headers["x-router-served-by"] == "two/second-2"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_request_that_a_provider_refuses_is_not_tried_elsewhere(pools: Pools, status: int) -> None:
    pools.providers[0].respond = answers(status, text="as the provider said it")
    reply = await pools.post()
    assert (reply.status, reply.body, pools.attempts) == (status, b"as the provider said it", [1, 0, 0])


async def test_when_all_fail_the_last_answer_is_the_clients(pools: Pools) -> None:
    pools.providers[0].respond = answers(500)
    pools.providers[1].respond = resets
    pools.providers[2].respond = answers(429, text="too many", retry_after="7")
    reply = await pools.post()
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (429, b"too many", "7")
    assert (reply.headers["x-router-attempts"], pools.attempts) == ("3", [1, 1, 1])
    assert reply.headers["x-router-served-by"] == "azure_openai/third/3"


async def test_silence_before_the_first_byte_moves_on(pools: Pools) -> None:
    async def silent(_: web.Request, __: Received) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    pools.providers[0].respond = silent
    reply = await pools.post()
    assert (reply.status, pools.attempts) == (200, [1, 1, 0])


async def test_after_the_first_byte_nothing_is_tried_again(pools: Pools) -> None:
    async def breaks(request: web.Request, _: Received) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        assert request.transport is not None
        request.transport.abort()
        return response

    pools.providers[0].respond = breaks
    with pytest.raises(aiohttp.ClientPayloadError):
        await pools.post()
    assert pools.attempts == [1, 0, 0]


async def test_a_listener_may_bound_the_retries(pools: Pools) -> None:
    for provider in pools.providers:
        provider.respond = answers(503)
    pools.names.route = "three"
    reply = await pools.bounded.post(body=BODY)
    assert (reply.status, reply.headers["x-router-attempts"], pools.attempts) == (503, "2", [1, 1, 0])


async def test_a_pool_is_found_whatever_its_preference_is_called(pools: Pools) -> None:
    pools.providers[0].respond = answers(503)
    reply = await pools.post("Übersetzung 翻訳 1.5%")
    assert (reply.status, pools.attempts) == (200, [1, 1, 0])


async def test_two_members_of_one_wildcard_keep_their_ids(pools: Pools) -> None:
    async def only_b(request: web.Request, received: Received) -> web.StreamResponse:
        return await (answer_ok if b'"b"' in received.body else answers(503))(request, received)

    pools.providers[1].respond = only_b
    reply = await pools.post("wild")
    assert (reply.status, reply.headers["x-router-served-by"]) == (200, "two/b")
    assert [received.body for received in pools.providers[1].received] == [body_for("a"), body_for("b")]
    assert {received.headers["authorization"] for received in pools.providers[1].received} == {f"Bearer {KEYS[1]}"}


async def test_a_preference_with_one_model_is_tried_once(pools: Pools) -> None:
    pools.providers[1].respond = answers(503, text="only one")
    reply = await pools.post("single")
    assert (reply.status, reply.body, pools.attempts) == (503, b"only one", [0, 1, 0])


async def test_a_body_of_the_largest_size_is_retried(pools: Pools) -> None:
    head, tail = b'{"model":"auto","messages":[{"role":"user","content":"', b'"}]}'
    body = head + b"x" * (MAX_BODY_BYTES - ROOM_FOR_THE_ID - len(head) - len(tail)) + tail
    for provider in pools.providers[:2]:
        provider.respond = answers(503)
    assert (await pools.post(body=body)).status == 200
    assert pools.attempts == [1, 1, 1]
    assert pools.providers[2].last.body == body.replace(b'"auto"', b'"third/3"')


async def test_a_client_cannot_pass_for_a_later_attempt(pools: Pools) -> None:
    pools.names.route = "three"
    reply = await pools.client.post(body=BODY, headers={"x-router-attempt-model": "forged"})
    assert (reply.status, len(pools.told.decisions)) == (200, 1)
    assert pools.providers[0].last.body == body_for(IDS[0])
