"""How large a request may be, and what becomes of compressed ones."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import brotli
import pytest
import zstandard

from router_service._generated.ext_proc_pb2 import ProcessingResponse
from tests.contract.conftest import Plane
from tests.support.ext_proc import Exchange, answer, route_to

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1024**2
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "br": lambda body: brotli.compress(body, quality=5),
    "zstd": zstandard.compress,
}


def body_of(size_bytes: int) -> bytes:
    """A request whose text fills it up to this size."""
    frame = b'{"model": "test/plain", "text": ""}'
    return frame[:-2] + b"a" * (size_bytes - len(frame)) + frame[-2:]


async def test_a_request_of_20_mib_is_routed_whole(plane: Plane) -> None:
    body = body_of(20 * MIB)
    assert (await plane.client.post(body=body)).status == 200
    assert plane.providers["plain"].last.body == body


async def test_an_edited_body_of_20_mib_comes_back_from_the_service_whole(plane: Plane) -> None:
    edited = body_of(20 * MIB)

    async def script(_: Exchange) -> ProcessingResponse:
        return route_to("model/test/plain", body=edited)

    plane.router.script = script
    assert (await plane.client.post("test/plain")).status == 200
    assert plane.providers["plain"].last.body == edited


async def test_a_body_of_exactly_the_limit_is_routed(plane: Plane) -> None:
    assert (await plane.client.post(body=body_of(32 * MIB))).status == 200


async def test_a_request_of_33_mib_is_refused_in_the_error_shape(plane: Plane) -> None:
    reply = await plane.client.post(body=body_of(33 * MIB))
    assert (reply.status, reply.error["code"], reply.error["type"]) == (413, "body_too_large", "invalid_request_error")
    assert plane.router.exchanges[0].body == b""


@pytest.mark.parametrize("encoding", COMPRESS)
async def test_a_compressed_request_is_decoded_for_service_and_provider(plane: Plane, encoding: str) -> None:
    body = json.dumps({"model": "test/plain", "text": "a few words, and a few more"}).encode()
    reply = await plane.client.post(body=COMPRESS[encoding](body), headers={"content-encoding": encoding})
    assert reply.status == 200
    assert plane.router.exchanges[0].body == body
    assert "content-encoding" not in plane.router.exchanges[0].headers
    assert plane.providers["plain"].last.body == body
    assert "content-encoding" not in plane.providers["plain"].last.headers


async def test_an_encoding_that_envoy_does_not_decode_is_told_to_the_service(plane: Plane) -> None:
    async def script(exchange: Exchange) -> ProcessingResponse:
        return answer(415, exchange.headers["content-encoding"].encode())

    plane.router.script = script
    reply = await plane.client.post("test/plain", headers={"content-encoding": "compress"})
    assert (reply.status, reply.body) == (415, b"compress")


async def test_a_gzip_bomb_is_refused_as_too_large(plane: Plane) -> None:
    bomb = gzip.compress(body_of(48 * MIB))
    reply = await plane.client.post(body=bomb, headers={"content-encoding": "gzip"})
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("encoding", ["br", "zstd"])
async def test_other_bombs_reach_the_service_cut_short(plane: Plane, encoding: str) -> None:
    """Envoy stops decoding at a hundredfold; the service finds broken JSON, and the memory stays bounded."""
    size = 0

    async def script(exchange: Exchange) -> ProcessingResponse:
        nonlocal size
        size = len(exchange.body)
        return answer(400, b"")

    plane.router.script = script
    bomb = COMPRESS[encoding](body_of(48 * MIB))
    reply = await plane.client.post(body=bomb, headers={"content-encoding": encoding})
    assert reply.status == 400
    assert 0 < size < MIB
