"""A running Envoy follows the rendered directory, and shows no key to anyone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from router_service.config.models import Config
from tests.contract.conftest import CHAT, Client
from tests.support.envoy import Envoy, write_rendered
from tests.support.ext_proc import ScriptedRouter
from tests.support.providers import Provider
from tests.support.stack import Load, until


@dataclass(slots=True)
class Running:
    envoy: Envoy
    client: Client
    provider: Provider
    router: ScriptedRouter
    directory: Path

    def render(self, keys: dict[str, str]) -> None:
        """Models with these keys."""
        base_url = f"http://127.0.0.1:{self.provider.port}"
        config = Config.model_validate(
            {
                "listeners": [{"name": "egress", "address": "127.0.0.1"}],
                "model_providers": [
                    {"model": model, "base_url": base_url, "access_key": key} for model, key in keys.items()
                ],
            }
        )
        write_rendered(config, self.directory, [self.router.address])

    async def until_logged(self, text: str, after: int = 0) -> None:
        await asyncio.to_thread(self.envoy.log.wait_for, lambda line: text in line, after=after)


@asynccontextmanager
async def running(directory: Path, keys: dict[str, str]) -> AsyncIterator[Running]:
    async with Provider() as provider, ScriptedRouter() as router, aiohttp.ClientSession() as session:
        plane = Running.__new__(Running)
        plane.provider, plane.router, plane.directory = provider, router, directory
        plane.render(keys)
        async with Envoy(directory) as envoy:
            plane.envoy = envoy
            plane.client = Client(session, f"http://127.0.0.1:{envoy.port('egress')}")
            yield plane


async def test_a_model_that_is_rendered_later_is_served_without_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, {"test/one": "sk-one"}) as plane:
        assert (await plane.client.post("test/two")).status == 503
        plane.render({"test/one": "sk-one", "test/two": "sk-two"})
        await plane.until_logged("add/update listener 'model/test/two'")
        assert (await plane.client.post("test/two")).status == 200
        assert plane.provider.last.headers["authorization"] == "Bearer sk-two"


async def test_a_model_that_is_no_longer_rendered_is_gone_and_its_key_too(tmp_path: Path) -> None:
    async with running(tmp_path, {"test/one": "sk-one", "test/two": "sk-two"}) as plane:
        plane.render({"test/one": "sk-one"})
        await plane.until_logged("lds: remove listener 'model/test/two'")
        assert (await plane.client.post("test/two")).status == 503
        assert (await plane.client.post("test/one")).status == 200
        assert [path.name for path in (tmp_path / "sds").iterdir()] == ["key_test_one.json"]


async def test_a_key_rotates_under_load_without_a_restart_and_without_a_failed_request(tmp_path: Path) -> None:
    """Two models have the key, and so one file. Every request carries the key before or the key after."""
    keys = [f"sk-{number}" for number in range(5)]
    async with running(tmp_path, dict.fromkeys(("test/one", "test/two"), keys[0])) as plane:
        listeners = (tmp_path / "lds.json").stat().st_mtime_ns
        url = plane.client.base_url + CHAT
        loads = [Load(url, rate=100, body=json.dumps({"model": f"test/{name}"}).encode()) for name in ("one", "two")]
        rotated = asyncio.Event()
        seen: list[str] = []

        def has_arrived(key: str) -> bool:
            seen[:] = [received.headers["authorization"] for received in plane.provider.received]
            return seen[-20:] == [f"Bearer {key}"] * 20

        async with asyncio.TaskGroup() as group:
            for load in loads:
                group.create_task(load.run(until_set=rotated))
            await until(lambda: has_arrived(keys[0]), "requests with the first key")
            for key in keys[1:]:
                plane.render(dict.fromkeys(("test/one", "test/two"), key))
                await until(lambda: has_arrived(key), f"requests with {key}")  # noqa: B023 - called in this round
            rotated.set()
        assert {load.failed for load in loads} == {0}
        assert sorted(set(seen)) == [f"Bearer {key}" for key in keys]
        assert (tmp_path / "lds.json").stat().st_mtime_ns == listeners


async def test_a_file_that_envoy_cannot_use_leaves_the_last_good_one_in_force(tmp_path: Path) -> None:
    async with running(tmp_path, {"test/one": "sk-one"}) as plane:
        broken = json.loads((tmp_path / "lds.json").read_text())
        broken["resources"][0]["filter_chains"] = [{"filters": [{"name": "nonsense"}]}]
        replacement = tmp_path / "lds.new"
        replacement.write_text(json.dumps(broken))
        replacement.rename(tmp_path / "lds.json")
        await plane.until_logged("listener 'egress' config rejected")
        assert (await plane.client.post("test/one")).status == 200


async def test_no_key_shows_in_the_admin_or_in_any_file_but_its_own(tmp_path: Path) -> None:
    async with running(tmp_path, {"test/one": "sk-secret"}) as plane:
        await plane.client.post("test/one")
        dump = await asyncio.to_thread(plane.envoy.get, "/config_dump?include_eds")
        assert "key/test/one" in dump
        assert "sk-secret" not in dump
        assert "sk-secret" not in "".join(plane.envoy.log.seen + plane.envoy.access_log.seen)
    assert holders(tmp_path, "sk-secret") == ["key_test_one.json"]


def holders(directory: Path, secret: str) -> list[str]:
    """The files under a directory that a secret is in."""
    return [path.name for path in directory.rglob("*") if path.is_file() and secret in path.read_text()]
