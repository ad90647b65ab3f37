"""What a provider receives, and what of its answer reaches the client."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import parse_qsl

import pytest
from aiohttp import web

from router_service._generated.ext_proc_pb2 import ProcessingResponse
from tests.contract.conftest import CHAT, Plane
from tests.support.ext_proc import Exchange, route_to
from tests.support.providers import Received

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLIENT_HEADERS = {
    "authorization": "Bearer client",
    "x-api-key": "client",
    "api-key": "client",
    "cookie": "session=client",
    "x-model-affinity": "conversation-1",
    "x-router-explain": "1",
    "x-forwarded-for": "203.0.113.7",
    "openai-organization": "org-1",
    "user-agent": "OpenAI/Python",
}


async def test_the_provider_sees_its_own_key_and_no_credential_of_the_clients(plane: Plane) -> None:
    await plane.client.post("test/plain", headers=CLIENT_HEADERS)
    seen = plane.providers["plain"].last.headers
    assert seen.getall("authorization") == ["Bearer sk-plain"]
    assert not any("client" in value for value in seen.values())


async def test_without_a_key_no_credential_is_sent_at_all(plane: Plane) -> None:
    await plane.client.post("test/no-key", headers=CLIENT_HEADERS)
    seen = plane.providers["plain"].last.headers
    assert "authorization" not in seen
    assert not any("client" in value for value in seen.values())


async def test_passthrough_sends_the_clients_own_credential(plane: Plane) -> None:
    await plane.client.post("test/passthrough", headers=CLIENT_HEADERS)
    assert plane.providers["plain"].last.headers["authorization"] == "Bearer client"


@pytest.mark.parametrize("model", ["test/plain", "test/passthrough"])
async def test_internal_headers_end_at_the_provider_and_the_clients_others_arrive(plane: Plane, model: str) -> None:
    await plane.client.post(model, headers=CLIENT_HEADERS)
    seen = plane.providers["plain"].last.headers
    ours = ("x-router-", "x-envoy-", "x-forwarded-", "x-model-")
    assert [name for name in seen if name.lower().startswith(ours)] == []
    assert seen["openai-organization"] == "org-1"
    assert seen["user-agent"] == "OpenAI/Python"


async def test_path_query_host_and_headers_are_the_providers(plane: Plane) -> None:
    await plane.client.post("test/prefix", path=f"{CHAT}?user=1&api-version=mine")
    seen = plane.providers["plain"].last
    path, _, query = seen.path.partition("?")
    assert path == "/openai/v1/chat/completions"
    assert dict(parse_qsl(query)) == {"user": "1", "api-version": "2024-10-21"}
    assert seen.headers["host"] == "llm.internal"
    assert seen.headers["authorization"] == "Bearer sk-prefix"
    assert seen.headers["x-team"] == "search"


async def test_azure_takes_the_model_in_the_path_and_the_key_in_a_header_of_its_own(plane: Plane) -> None:
    await plane.client.post("azure_openai/gpt-4o")
    seen = plane.providers["plain"].last
    assert seen.path.startswith("/openai/deployments/gpt-4o/chat/completions?api-version=")
    assert seen.headers["api-key"] == "sk-azure"
    assert "authorization" not in seen.headers


@pytest.mark.parametrize("model", ["test/by-name", "test/ipv6", "test/tls", "test/tls-by-address"])
async def test_a_provider_is_reached_by(plane: Plane, model: str) -> None:
    reply = await plane.client.post(model)
    assert (reply.status, json.loads(reply.body)["model"]) == (200, model)


async def test_http2_is_spoken_where_the_provider_offers_it(plane: Plane) -> None:
    reply = await plane.client.post("test/http2")
    assert (reply.status, reply.body) == (200, b"{}")
    seen = plane.http2.received[-1]
    assert seen[":path"] == CHAT
    assert seen[":authority"] == f"127.0.0.1:{plane.http2.port}"
    assert seen["authorization"] == "Bearer sk-http2"


@pytest.mark.parametrize(
    ("model", "alert"),
    [
        pytest.param("test/tls-other-name", "certificate_verify_failed", id="for another name"),
        pytest.param("test/tls-no-name", "certificate_verify_failed", id="for a name, where an address was asked"),
    ],
)
async def test_a_certificate_is_refused(plane: Plane, model: str, alert: str) -> None:
    reply = await plane.client.post(model)
    assert reply.error["code"] == "upstream_unavailable"
    assert alert in str((await plane.logged(reply, "failed attempt"))["failure"]).lower()
    assert plane.providers["tls"].received == []


async def test_the_body_arrives_byte_for_byte_where_the_service_leaves_it_alone(plane: Plane) -> None:
    body = '{ "model":"test/plain",\n "n": 12345678901234567890, "z": "é\\u00e9", "a": 1.0e2 }'.encode()
    await plane.client.post(body=body)
    assert plane.providers["plain"].last.body == body


async def test_the_body_arrives_as_the_service_wrote_it(plane: Plane) -> None:
    async def script(_: Exchange) -> ProcessingResponse:
        return route_to("model/test/plain", body=b'{"model":"gpt"}')

    plane.router.script = script
    assert (await plane.client.post("something much longer than that")).status == 200
    assert plane.providers["plain"].last.body == b'{"model":"gpt"}'
    assert plane.providers["plain"].last.headers["content-length"] == "15"


async def test_the_providers_answer_passes_as_it_is(plane: Plane) -> None:
    async def overloaded(_: web.Request, __: Received) -> web.StreamResponse:
        headers = {"retry-after": "7", "x-request-id": "provider-1", "openai-version": "2020-10-01", "server": "theirs"}
        return web.json_response({"error": {"message": "busy"}}, status=429, headers=headers)

    plane.providers["plain"].respond = overloaded
    reply = await plane.client.post("test/plain")
    assert (reply.status, reply.body) == (429, b'{"error": {"message": "busy"}}')
    assert reply.headers["retry-after"] == "7"
    assert reply.headers["x-request-id"] == "provider-1"
    assert reply.headers["openai-version"] == "2020-10-01"
    assert reply.headers["server"] == "theirs"


async def test_a_provider_can_neither_speak_in_our_name_nor_for_our_host(plane: Plane) -> None:
    async def spoofing(_: web.Request, __: Received) -> web.StreamResponse:
        ours = {"x-router-model": "spoofed", "x-router-route": "spoofed", "x-router-served-by": "spoofed"}
        host = {"alt-svc": 'h3=":443"', "set-cookie": "theirs=1", "strict-transport-security": "max-age=1"}
        return web.json_response({}, headers={**ours, **host})

    plane.providers["plain"].respond = spoofing
    headers = (await plane.client.post("test/plain")).headers
    assert "spoofed" not in headers.values()
    assert not {"alt-svc", "set-cookie", "strict-transport-security"} & {name.lower() for name in headers}


async def test_a_compressed_response_is_left_to_the_client(plane: Plane) -> None:
    async def compressed(_: web.Request, __: Received) -> web.StreamResponse:
        return web.Response(body=b"not really gzip", headers={"content-encoding": "gzip"})

    plane.providers["plain"].respond = compressed
    reply = await plane.client.post("test/plain")
    assert (reply.headers["content-encoding"], reply.body) == ("gzip", b"not really gzip")


async def test_every_event_of_a_stream_arrives_before_the_next_is_sent(plane: Plane) -> None:
    """The provider sends event N+1 only once the client has N: buffering anywhere would stop both for good."""
    confirmed = asyncio.Semaphore(0)
    events = [f'data: {{"n": {number}}}\n\n'.encode() for number in range(20)]

    async def stream(request: web.Request, _: Received) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await response.write(event)
            await confirmed.acquire()
        await response.write_eof()
        return response

    plane.providers["plain"].respond = stream
    content = json.dumps({"model": "test/plain", "stream": True})
    seen = []
    async with asyncio.timeout(20), plane.client.session.post(plane.client.base_url + CHAT, data=content) as response:
        while line := await response.content.readuntil(b"\n\n"):
            seen.append(line)
            confirmed.release()
    assert seen == events


async def test_a_provider_that_fails_after_its_first_byte_ends_the_stream_and_is_not_asked_again(plane: Plane) -> None:
    async def break_off(request: web.Request, _: Received) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        assert request.transport is not None
        request.transport.abort()
        return response

    plane.providers["plain"].respond = break_off
    with pytest.raises(Exception, match=r"payload|Connection|closed"):
        await plane.client.post("test/plain")
    assert len(plane.providers["plain"].received) == 1
