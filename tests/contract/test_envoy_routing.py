"""What the edge listener lets in, how the service's reply chooses the way, and what comes back."""

from __future__ import annotations

import asyncio
import json

import pytest

from router_service._generated.ext_proc_pb2 import ProcessingResponse
from router_service.extproc.stream import READ_HEADERS
from tests.contract.conftest import CHAT, Plane
from tests.support.ext_proc import Exchange, no_change, route_to

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_header_in_the_body_reply_chooses_the_cluster(plane: Plane) -> None:
    reply = await plane.client.post("test/plain")
    assert reply.status == 200
    assert json.loads(reply.body)["model"] == "test/plain"
    other = await plane.client.post("test/other-port")
    assert other.status == 200
    assert len(plane.providers["plain"].received) == len(plane.providers["other port"].received) == 1


async def test_without_clear_route_cache_the_header_comes_too_late(plane: Plane) -> None:
    async def script(_: Exchange) -> ProcessingResponse:
        return route_to("model/test/plain", clear=False)

    plane.router.script = script
    assert (await plane.client.post("any")).error["code"] == "router_unavailable"


async def test_clear_route_cache_without_a_header_mutation_counts_for_nothing(plane: Plane) -> None:
    async def script(_: Exchange) -> ProcessingResponse:
        reply = ProcessingResponse()
        reply.request_body.response.clear_route_cache = True
        return reply

    plane.router.script = script
    assert (await plane.client.post("any")).error["code"] == "router_unavailable"


async def test_a_client_cannot_choose_its_cluster(plane: Plane) -> None:
    headers = {"x-router-upstream": "model/test/other-port", "X-Router-Model": "test/other-port"}
    await plane.client.post("test/plain", headers=headers)
    assert len(plane.providers["plain"].received) == 1

    async def decides_nothing(_: Exchange) -> ProcessingResponse:
        return no_change()

    plane.router.script = decides_nothing
    assert (await plane.client.post("test/plain", headers=headers)).status == 503
    assert plane.providers["other port"].received == []


async def test_the_service_sees_the_headers_it_reads_and_no_others(plane: Plane) -> None:
    credentials = {"authorization": "Bearer client", "x-api-key": "client", "cookie": "client=1"}
    others = {"content-encoding": "identity", "anthropic-version": "2023-06-01"}
    await plane.client.post("test/plain", headers={**credentials, **others})
    assert sorted(plane.router.exchanges[0].headers) == sorted(READ_HEADERS)


async def test_envoy_fills_raw_value_and_leaves_value_empty(plane: Plane) -> None:
    await plane.client.post("test/plain")
    headers = plane.router.exchanges[0].messages[0].request_headers.headers.headers
    assert all(header.raw_value and not header.value for header in headers)


async def test_one_stream_carries_one_request_in_two_messages(plane: Plane) -> None:
    await asyncio.gather(*(plane.client.post("test/plain") for _ in range(5)))
    assert [len(exchange.messages) for exchange in plane.router.exchanges] == [2] * 5


async def test_envoy_carries_on_alone_after_the_service_closed_the_stream(plane: Plane) -> None:
    reply = await plane.client.post("test/plain")  # ScriptedRouter closes after its reply, as the service does
    assert reply.status == 200
    assert (await plane.logged(reply))["details"] == "via_upstream"


async def test_a_client_that_leaves_cancels_the_stream(plane: Plane) -> None:
    asked = asyncio.Event()

    async def think(_: Exchange) -> ProcessingResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    plane.router.script = think
    request = asyncio.create_task(plane.client.post("test/plain"))
    await asked.wait()
    request.cancel()
    async with asyncio.timeout(2):  # less than Envoy's own message_timeout
        await plane.router.exchanges[0].cancelled.wait()


async def test_the_decision_is_shown_in_response_headers_without_a_response_phase(plane: Plane) -> None:
    async def script(_: Exchange) -> ProcessingResponse:
        return route_to(
            "model/test/plain", model="test/plain", route="code, généré", source="preference", reason="matched"
        )

    plane.router.script = script
    reply = await plane.client.post("auto")
    shown = {name: value for name, value in reply.headers.items() if name.startswith("x-router-")}
    assert shown == {
        "x-router-model": "test/plain",
        "x-router-route": "code, généré",
        "x-router-source": "preference",
        "x-router-reason": "matched",
        "x-router-served-by": "test/plain",
        "x-router-attempts": "1",
    }
    assert len(plane.router.exchanges[0].messages) == 2


async def test_a_decision_header_without_a_value_is_absent(plane: Plane) -> None:
    reply = await plane.client.post("test/plain")  # the script tells no route
    assert "x-router-model" in reply.headers
    assert "x-router-route" not in reply.headers


async def test_a_wildcard_says_which_member_served(plane: Plane) -> None:
    async def script(_: Exchange) -> ProcessingResponse:
        return route_to("model/wild/*", sets={"x-router-model": "wild/one"})

    plane.router.script = script
    assert (await plane.client.post("wild/one")).headers["x-router-served-by"] == "wild/one"


async def test_paths_are_normalised_before_the_service_reads_them(plane: Plane) -> None:
    await plane.client.post("test/plain", path="/v1//chat/./nothing/../completions?stream=1")
    assert plane.router.exchanges[0].headers[":path"] == f"{CHAT}?stream=1"


async def test_a_clients_request_id_is_kept_all_the_way(plane: Plane) -> None:
    reply = await plane.client.post("test/plain")
    assert plane.router.exchanges[0].headers["x-request-id"] == reply.request_id
    assert plane.providers["plain"].last.headers["x-request-id"] == reply.request_id
    assert (await plane.logged(reply))["request_id"] == reply.request_id


async def test_a_client_cannot_set_envoys_own_timeouts_and_retries(plane: Plane) -> None:
    headers = {"x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-retry-on": "5xx", "x-envoy-max-retries": "9"}
    reply = await plane.client.post("test/down", headers=headers)
    assert reply.headers["x-router-attempts"] == "1"
    assert not any(name.startswith("x-envoy-") for name in reply.headers)


async def test_health_follows_the_workers(plane: Plane) -> None:
    reply = await plane.client.request("GET", "/healthz")
    assert reply.status == 200
    assert plane.router.exchanges == []


async def test_the_admin_listens_on_loopback_alone(plane: Plane) -> None:
    assert plane.envoy.admin.startswith("http://127.0.0.1:")
