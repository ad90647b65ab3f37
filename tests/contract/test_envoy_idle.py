"""Silence: how long a provider may say nothing, before its first byte and after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from router_service.config.models import Config
from tests.contract.conftest import Client
from tests.support.envoy import Envoy, write_rendered
from tests.support.ext_proc import ScriptedRouter
from tests.support.providers import Provider, Received


@pytest.fixture
def limits() -> dict[str, str]:
    return {"upstream_idle_timeout": "300ms"}


@pytest_asyncio.fixture
async def impatient(tmp_path: Path, limits: dict[str, str]) -> AsyncIterator[tuple[Client, Provider]]:
    """An Envoy that gives a provider 300 ms."""
    async with Provider() as provider, ScriptedRouter() as router, aiohttp.ClientSession() as session:
        config = Config.model_validate(
            {
                "listeners": [{"name": "egress", "address": "127.0.0.1"}],
                "limits": limits,
                "model_providers": [{"model": "test/plain", "base_url": f"http://127.0.0.1:{provider.port}"}],
            }
        )
        write_rendered(config, tmp_path, [router.address])
        async with Envoy(tmp_path) as envoy:
            yield Client(session, f"http://127.0.0.1:{envoy.port('egress')}"), provider


@pytest.mark.parametrize("limits", [{"upstream_idle_timeout": "300ms"}, {"first_byte_timeout": "300ms"}])
async def test_silence_before_the_first_byte_is_answered_504(impatient: tuple[Client, Provider]) -> None:
    async def silent(_: web.Request, __: Received) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    client, provider = impatient
    provider.respond = silent
    reply = await client.post("test/plain")
    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")


async def test_silence_between_two_bytes_ends_the_stream(impatient: tuple[Client, Provider]) -> None:
    async def stops(request: web.Request, _: Received) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    client, provider = impatient
    provider.respond = stops
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.post("test/plain")


@pytest.mark.parametrize("limits", [{"first_byte_timeout": "300ms"}])
async def test_the_limit_of_the_first_byte_does_not_count_once_it_is_there(impatient: tuple[Client, Provider]) -> None:
    async def goes_on(request: web.Request, _: Received) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await asyncio.sleep(0.6)  # what is claimed is about time: twice the limit, then the rest
        await response.write(b"data: 2\n\n")
        return response

    client, provider = impatient
    provider.respond = goes_on
    assert (await client.post("test/plain")).body == b"data: 1\n\ndata: 2\n\n"
