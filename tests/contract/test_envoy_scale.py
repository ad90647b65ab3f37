"""A large configuration: Envoy accepts it, starts within the limits of an ordinary Linux, and serves all of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import trustme

from router_service._generated.ext_proc_pb2 import ProcessingResponse
from router_service.config.load import loads
from tests.contract.conftest import Client
from tests.support.envoy import Envoy, validate, write_rendered
from tests.support.ext_proc import Exchange, ScriptedRouter, route_to
from tests.support.large import MODELS, PROVIDERS, configuration, environment, model_name
from tests.support.providers import Provider

DISCOVERY_FILES = 2  # lds.json and cds.json


async def chosen_by_name(exchange: Exchange) -> ProcessingResponse:
    model = json.loads(exchange.body)["model"]
    return route_to(f"model/{model}", sets={"x-router-model": model})


def test_envoy_accepts_fifty_providers_two_hundred_models_and_a_hundred_pools(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    loaded = loads(configuration(), environment())
    assert len({entry.provider for entry in loaded.config.model_providers}) == 50
    assert (len(loaded.config.model_providers), len(loaded.config.routing_preferences)) == (200, 100)
    write_rendered(loaded.config, tmp_path, [], ca_file=str(tmp_path / "ca.pem"))
    assert validate(tmp_path) == ""


async def test_it_serves_them_and_spends_one_inotify_instance_a_credential(tmp_path: Path) -> None:
    """Linux gives a user 128 of them unless told otherwise, and Envoy ends where it cannot have another."""
    async with Provider(host="0.0.0.0") as provider, ScriptedRouter() as router, aiohttp.ClientSession() as session:
        text = configuration(base_url=lambda number: f"http://127.0.1.{number}:{provider.port}/p{number}")

        router.script = chosen_by_name

        def render(environ: dict[str, str]) -> None:
            write_rendered(loads(text, environ).config, tmp_path, [router.address])

        render(environment())
        async with Envoy(tmp_path) as envoy:
            client = Client(session, f"http://127.0.0.1:{envoy.port('egress')}")

            async def key_of(model: int) -> str:
                assert (await client.post(model_name(model))).status == 200
                assert provider.last.path == f"/p{model % PROVIDERS}/chat/completions"
                return provider.last.headers["authorization"]

            assert [await key_of(model) for model in range(MODELS)] == [
                f"Bearer sk-{model % PROVIDERS}" for model in range(MODELS)
            ]
            assert envoy.inotify_instances == PROVIDERS + DISCOVERY_FILES

            render({**environment(), "KEY_7": "sk-new"})
            async with asyncio.timeout(20):
                while await key_of(7) != "Bearer sk-new":
                    pass
            assert {await key_of(model) for model in range(7, MODELS, PROVIDERS)} == {"Bearer sk-new"}
            assert await key_of(8) == "Bearer sk-8"
