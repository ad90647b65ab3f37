"""What a client gets when Envoy itself has to answer: the error shape, a stable code, and where to look."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from router_service._generated.ext_proc_pb2 import ProcessingResponse
from tests.contract.conftest import Plane
from tests.support.ext_proc import Exchange, Script, answer, no_change, route_to
from tests.support.providers import Received

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def never(_: Exchange) -> ProcessingResponse:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def crash(_: Exchange) -> ProcessingResponse:
    raise RuntimeError("a defect")


async def wrong_kind(_: Exchange) -> ProcessingResponse:
    reply = ProcessingResponse()
    reply.response_headers.SetInParent()
    return reply


async def wrong_length(_: Exchange) -> ProcessingResponse:
    return route_to("model/test/plain", body=b"{}", sets={"content-length": "3"})


async def unknown_cluster(_: Exchange) -> ProcessingResponse:
    return route_to("model/nobody")


async def undecided(_: Exchange) -> ProcessingResponse:
    return no_change()


@pytest.mark.parametrize(
    ("script", "details"),
    [
        pytest.param(never, "ext_proc_error_per-message_timeout_exceeded", id="is silent for too long"),
        pytest.param(crash, "ext_proc_error_gRPC_error_2", id="fails"),
        pytest.param(wrong_kind, "spurious_message", id="replies with a message of another kind"),
        pytest.param(wrong_length, "mismatch_between_content_length", id="gets the edited body's length wrong"),
        pytest.param(unknown_cluster, "cluster_not_found", id="names a cluster that Envoy does not have"),
        pytest.param(undecided, "cluster_not_found", id="decides nothing"),
    ],
)
async def test_503_router_unavailable_where_the_service(plane: Plane, script: Script, details: str) -> None:
    plane.router.script = script
    reply = await plane.client.post("test/plain")
    assert (reply.status, reply.error["code"], reply.error["type"]) == (503, "router_unavailable", "server_error")
    assert reply.headers["x-request-id"] == reply.request_id
    assert str((await plane.logged(reply))["details"]).startswith(details)
    assert plane.providers["plain"].received == []


@pytest.mark.parametrize(
    ("model", "details"),
    [
        pytest.param("test/down", "upstream_reset_before_response_started{remote_connection_failure", id="refuses"),
        pytest.param("test/unresolvable", "no_healthy_upstream", id="has a name that nobody knows"),
    ],
)
async def test_503_upstream_unavailable_where_the_provider(plane: Plane, model: str, details: str) -> None:
    reply = await plane.client.post(model)
    assert (reply.status, reply.error["code"]) == (503, "upstream_unavailable")
    assert reply.headers["x-request-id"] == reply.request_id
    attempt = await plane.logged(reply, "failed attempt")
    assert str(attempt["details"]).startswith(details)
    assert attempt["model"] == model


async def test_503_upstream_unavailable_where_the_provider_closes_without_an_answer(plane: Plane) -> None:
    async def hang_up(request: web.Request, _: Received) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    plane.providers["plain"].respond = hang_up
    reply = await plane.client.post("test/plain")
    assert (reply.status, reply.error["code"]) == (503, "upstream_unavailable")
    assert len(plane.providers["plain"].received) == 1  # it saw the request: asking again is not ours to decide


async def test_503_provider_key_missing_where_its_variable_is_not_set(plane: Plane) -> None:
    reply = await plane.client.post("test/missing-key")
    assert (reply.status, reply.error["code"]) == (503, "provider_key_missing")
    assert plane.providers["plain"].received == []


async def test_504_upstream_timeout_where_the_listener_bounds_the_whole_response(plane: Plane) -> None:
    async def slow(_: web.Request, __: Received) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    plane.providers["plain"].respond = slow
    reply = await plane.timed.post("test/plain")
    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")
    assert (await plane.logged(reply))["flags"] == "UT"


async def test_404_unknown_path_where_the_service_routes_what_no_provider_has(plane: Plane) -> None:
    reply = await plane.client.post("test/plain", path="/v2/chat")
    assert (reply.status, reply.error["code"]) == (404, "unknown_path")


async def test_the_services_own_answer_passes_as_it_is(plane: Plane) -> None:
    for status in (400, 404, 413, 415, 503):
        body = b'{"error":{"message":"50 % ours"}}'

        async def script(_: Exchange, status: int = status, body: bytes = body) -> ProcessingResponse:
            return answer(status, body, details="router_test")

        plane.router.script = script
        reply = await plane.client.post("test/plain")
        assert (reply.status, reply.body) == (status, body)
        assert reply.headers["content-type"] == "application/json"
        assert (await plane.logged(reply))["details"] == "router_test"
