"""Arch-Router's client against a server that misbehaves: each way of failing has its documented reason, in time."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from router_service.classify.arch_router import ArchRouter
from router_service.classify.facts import Facts
from router_service.classify.opening import open_arch_router
from router_service.classify.replicas import Resolver, resolve_host
from router_service.classify.watch import Watch
from router_service.config.build import build_catalog
from router_service.config.models import Config
from router_service.routing.breaker import Policy
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import Reason
from tests.contract.scripted_server import (
    Request,
    Script,
    answer,
    close,
    complete,
    endless,
    half_close,
    hang,
    http,
    reset,
    running,
    trickle,
)

HELLO = Conversation((Turn("user", "hello"),))
POLICY = Policy(failures=2, first_pause_s=1.0, longest_pause_s=8.0)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Deaf:
    def found(self, address: str, facts: Facts) -> None: ...

    def lost(self, address: str, why: str) -> None: ...


@dataclass
class Client:
    classifier: ArchRouter
    watch: Watch
    clock: Clock

    async def reason(self, text: str = "hello") -> Reason:
        return (await self.classifier.classify(Conversation((Turn("user", text),)))).reason


@asynccontextmanager
async def client(
    *urls: str, timeout_s: float = 60, resolver: Resolver = resolve_host, **router: object
) -> AsyncIterator[Client]:
    config = Config.model_validate(
        {
            "model_providers": [{"model": "openai/small", "default": True}],
            "routing_preferences": [
                {"name": "code", "description": "writing code", "models": ["small"]},
                {"name": "poetry", "description": "writing poems", "models": ["small"]},
            ],
            "router": {"backend": "vllm", "url": list(urls), **router},
        }
    )
    clock = Clock()
    async with open_arch_router(
        config,
        build_catalog(config),
        timeout_s=timeout_s,
        watcher=Deaf(),
        resolver=resolver,
        policy=POLICY,
        clock=clock,
    ) as opened:
        yield Client(opened.classifier, opened.watch, clock)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(hang, Reason.TIMEOUT, id="hangs"),
        pytest.param(trickle, Reason.TIMEOUT, id="begins to answer and stops"),
        pytest.param(answer(500, b"{}"), Reason.CLASSIFIER_ERROR, id="500"),
        pytest.param(answer(503, b"busy"), Reason.CLASSIFIER_ERROR, id="503"),
        pytest.param(answer(429, b"{}"), Reason.CLASSIFIER_ERROR, id="429"),
        pytest.param(answer(401, b"{}"), Reason.CLASSIFIER_ERROR, id="401"),
        pytest.param(answer(404, b"{}"), Reason.CLASSIFIER_ERROR, id="404"),
        pytest.param(answer(302, b""), Reason.CLASSIFIER_ERROR, id="a redirect is not followed"),
        pytest.param(reset, Reason.CLASSIFIER_ERROR, id="resets the connection"),
        pytest.param(close, Reason.CLASSIFIER_ERROR, id="closes the connection"),
        pytest.param(half_close, Reason.CLASSIFIER_ERROR, id="half-open, closed from its side only"),
        pytest.param(answer(200, b'{"choices"', length=100), Reason.CLASSIFIER_ERROR, id="closes within the body"),
        pytest.param(endless, Reason.MALFORMED, id="answers without end"),
        pytest.param(answer(200, b"<html>"), Reason.MALFORMED, id="garbage"),
        pytest.param(answer(200, b"\xff\xfe"), Reason.MALFORMED, id="not text"),
        pytest.param(answer(200, b'{"choices": [{"mess'), Reason.MALFORMED, id="truncated JSON"),
        pytest.param(answer(200, b"[" * 100_000), Reason.MALFORMED, id="JSON too deep"),
        pytest.param(answer(200, b'{"choices": [{"message": {"content": 5}}]}'), Reason.MALFORMED, id="wrong schema"),
        pytest.param(answer(200, b'{"choices": []}'), Reason.MALFORMED, id="no answer in it"),
        pytest.param(complete('poem"}'), Reason.UNKNOWN_ROUTE, id="a name of its own"),
        pytest.param(complete("I would say"), Reason.MALFORMED, id="prose"),
    ],
)
async def test_a_server_that_fails_gives_its_reason(script: Script, reason: Reason) -> None:
    timeout_s = 0.2 if reason is Reason.TIMEOUT else 60
    async with running(script) as server, client(server.url, timeout_s=timeout_s) as asking:
        assert await asking.reason() is reason


async def test_a_host_that_does_not_answer_is_given_up_before_the_deadline() -> None:
    # A full backlog: the handshake is never answered, as by a host that is gone without a word.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, socket.socket() as fills_it:
        fills_it.connect(listening.getsockname())
        async with client(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout_s=2) as asking:
            assert await asking.reason() is Reason.CLASSIFIER_ERROR


async def test_a_server_that_is_not_there_is_an_error_of_the_classifier() -> None:
    async with running(hang) as server:
        url = server.url
    async with client(url) as asking:
        assert await asking.reason() is Reason.CLASSIFIER_ERROR


async def test_a_server_that_keeps_failing_is_left_alone_then_probed_by_one_question_and_used_again() -> None:
    async with running(answer(500, b"{}")) as server, client(server.url) as asking:
        reasons = [await asking.reason() for _ in range(4)]
        assert reasons == [Reason.CLASSIFIER_ERROR] * 2 + [Reason.BREAKER_OPEN] * 2
        assert len(server.requests) == POLICY.failures

        server.script = hang
        asking.clock.now_s += POLICY.first_pause_s
        server.arrived.clear()
        probe = asyncio.create_task(asking.reason("the probe"))
        await server.arrived.wait()
        assert await asking.reason("another") is Reason.BREAKER_OPEN
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)

        server.script = complete('code"')
        assert await asking.reason() is Reason.MATCHED
        assert await asking.reason("another") is Reason.MATCHED


async def test_a_client_that_goes_away_hangs_up_on_the_server() -> None:
    async with running(hang) as server, client(server.url) as asking:
        question = asyncio.create_task(asking.reason())
        await server.arrived.wait()
        question.cancel()
        await server.hung_up.wait()


async def test_the_deadline_hangs_up_on_the_server() -> None:
    async with running(hang) as server, client(server.url, timeout_s=0.05) as asking:
        assert await asking.reason() is Reason.TIMEOUT
        await server.hung_up.wait()


async def test_a_kept_connection_that_the_server_closed_is_no_failure() -> None:
    async def once(request: Request, writer: asyncio.StreamWriter) -> None:
        await complete('code"')(request, writer)
        writer.close()

    async with running(once) as server, client(server.url) as asking:
        assert [await asking.reason(str(number)) for number in range(4)] == [Reason.MATCHED] * 4


async def test_connections_are_kept_between_questions() -> None:
    connections = set()

    async def count(request: Request, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        await complete('code"')(request, writer)

    async with running(count) as server, client(server.url) as asking:
        for number in range(5):
            await asking.reason(str(number))
        assert len(connections) == 1
        assert len(server.requests) == 5


async def test_a_name_with_several_addresses_is_asked_where_it_answers() -> None:
    async def both(host: str, port: int) -> Collection[str]:
        return ["127.0.0.1", "127.0.0.2"]

    async with (
        running(complete('code"'), host="127.0.0.2") as server,
        client(f"http://arch-router:{server.port}", resolver=both) as asking,
    ):
        assert [await asking.reason(str(number)) for number in range(6)] == [Reason.MATCHED] * 6
        assert {request.headers["host"] for request in server.requests} == {f"arch-router:{server.port}"}


@pytest.mark.parametrize(
    ("suffix", "paths"),
    [
        pytest.param("", ["/v1/models", "/version"], id="no path"),
        pytest.param("/", ["/v1/models", "/version"], id="a slash"),
        pytest.param("/v1", ["/v1/models", "/version"], id="with the API prefix"),
        pytest.param("/arch/v1/", ["/arch/v1/models", "/arch/version"], id="below a path"),
        pytest.param("/openai", ["/openai/models", "/openai/version"], id="with another prefix"),
    ],
)
async def test_a_path_in_the_url_replaces_the_api_prefix(suffix: str, paths: list[str]) -> None:
    async with running(VLLM) as server, client(server.url + suffix) as asking:
        await asking.watch.look()
        await asking.reason()
        asked = [request.path for request in server.requests]
        assert [path for path in asked if path.endswith(("/models", "/version"))] == paths
        assert asked[-1] == paths[0].replace("models", "chat/completions")


async def test_the_access_key_goes_to_the_server() -> None:
    async with running(VLLM) as server, client(server.url, access_key="sk-1") as asking:
        await asking.watch.look()
        assert {request.headers["authorization"] for request in server.requests} == {"Bearer sk-1"}


async def test_without_an_access_key_no_credential_is_sent() -> None:
    async with running(VLLM) as server, client(server.url) as asking:
        await asking.watch.look()
        assert not any("authorization" in request.headers for request in server.requests)


async def vllm(request: Request, writer: asyncio.StreamWriter) -> None:
    """A server that behaves like vLLM with two one-token names."""
    replies: dict[str, object] = {
        "models": {"data": [{"id": "Arch-Router", "max_model_len": 16384}]},
        "version": {"version": "0.32.0"},
        "tokenize": {"tokens": [len(request.body), 9], "token_strs": ["<|im_end|>"]},
        "completions": {"choices": [{"message": {"content": 'code"'}}], "usage": {"completion_tokens": 2}},
    }
    writer.write(http(200, json.dumps(replies[request.path.rsplit("/", 1)[1]]).encode()))
    await writer.drain()


VLLM: Script = vllm


async def test_a_probed_server_is_asked_for_one_token_where_one_decides() -> None:
    async with running(VLLM) as server, client(server.url) as asking:
        await asking.watch.look()
        await asking.reason()
        question = json.loads(server.requests[-1].body)
        assert question["max_tokens"] == 1
        assert question["messages"][-1] == {"role": "assistant", "content": '{"route": "'}


async def test_an_openai_server_that_refuses_the_schema_is_asked_freely() -> None:
    async def refusing(request: Request, writer: asyncio.StreamWriter) -> None:
        refused = b'{"error": {"message": "response_format is not supported"}}'
        script = answer(400, refused) if b"response_format" in request.body else complete("{'route': 'poetry'}")
        await script(request, writer)

    async with running(refusing) as server, client(server.url, backend="openai") as asking:
        assert [await asking.reason(str(number)) for number in range(2)] == [Reason.MATCHED] * 2
        assert len(server.requests) == 3
