"""The JSON access log: one line a request with the decision, one for each attempt that failed, and no secret."""

from __future__ import annotations

import json

import pytest

from router_service._generated.ext_proc_pb2 import ProcessingResponse
from router_service.dataplane.access_log import ATTEMPT_FIELDS, REQUEST_FIELDS
from tests.contract.conftest import CHAT, Plane
from tests.support.ext_proc import Exchange, route_to

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def decide(_: Exchange) -> ProcessingResponse:
    return route_to(
        "model/test/plain",
        model="test/plain",
        route='a "quoted" name',
        source="preference",
        reason="matched",
        classifier="embedded",
    )


async def test_a_line_has_the_decision_the_way_and_the_durations(plane: Plane) -> None:
    plane.router.script = decide
    reply = await plane.client.post("auto")
    line = await plane.logged(reply)
    assert set(line) == set(REQUEST_FIELDS)
    shown = {key: line[key] for key in ("method", "path", "status", "details", "flags", "protocol", "bytes_sent")}
    assert shown == {
        "method": "POST",
        "path": CHAT,
        "status": 200,
        "details": "via_upstream",
        "flags": "-",
        "protocol": "HTTP/1.1",
        "bytes_sent": len(reply.body),
    }
    decision = {key: line[key] for key in ("model", "route", "source", "reason", "classifier", "upstream", "served_by")}
    assert decision == {
        "model": "test/plain",
        "route": 'a "quoted" name',
        "source": "preference",
        "reason": "matched",
        "classifier": "embedded",
        "upstream": "model/test/plain",
        "served_by": "test/plain",
    }
    assert line["attempts"] == 1
    assert line["client"] == "127.0.0.1"
    for duration in ("duration_ms", "request_ms", "first_byte_ms", "router_headers_us", "router_body_us"):
        assert int(str(line[duration])) >= 0, duration


async def test_what_does_not_apply_is_null(plane: Plane) -> None:
    line = await plane.logged(await plane.client.post("test/plain"))
    assert line["route"] is None
    assert line["classifier"] is None


async def test_a_failed_attempt_has_a_line_of_its_own_that_says_why(plane: Plane) -> None:
    reply = await plane.client.post("test/down")
    line = await plane.logged(reply, "failed attempt")
    assert set(line) == {*ATTEMPT_FIELDS, "model"}
    assert line["model"] == "test/down"
    assert line["flags"] == "URX,UF"
    assert "Connection_refused" in str(line["failure"])
    assert line["connections_tried"] == 2
    assert str(line["provider"]).startswith("provider/http/127.0.0.1:")
    assert str(line["address"]).startswith("127.0.0.1:")


async def test_a_request_that_went_well_has_one_line(plane: Plane) -> None:
    reply = await plane.client.post("test/plain")
    await plane.logged(reply)
    lines = [line for line in plane.envoy.access_log.seen if reply.request_id in line]
    assert len(lines) == 1


async def test_no_line_has_a_body_a_credential_or_a_query(plane: Plane) -> None:
    body = json.dumps({"model": "test/plain", "messages": [{"role": "user", "content": "hush-body"}]}).encode()
    headers = {"authorization": "Bearer hush-header", "cookie": "hush-cookie"}
    reply = await plane.client.post(path=f"{CHAT}?key=hush-query", body=body, headers=headers)
    await plane.logged(reply)
    text = "".join(plane.envoy.access_log.seen)
    assert "hush" not in text
    assert "sk-plain" not in text
