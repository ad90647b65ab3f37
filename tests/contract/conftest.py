"""One Envoy for most contract tests: rendered by us, between a scripted router and local providers."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aiohttp
import pytest
import pytest_asyncio
import trustme
from multidict import CIMultiDictProxy

from router_service.config.models import Config
from tests.support.envoy import Envoy, write_rendered
from tests.support.ext_proc import ScriptedRouter, route_by_model
from tests.support.http2_provider import Http2Provider
from tests.support.ports import refused_port
from tests.support.providers import Provider, answer_ok

CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Reply:
    request_id: str
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def error(self) -> dict[str, object]:
        """OpenAI's error object, and nothing else, as JSON."""
        assert self.headers["content-type"] == "application/json"
        document = json.loads(self.body)
        assert list(document) == ["error"]
        assert list(document["error"]) == ["message", "type", "param", "code"]
        return cast("dict[str, object]", document["error"])


class Client:
    """Requests to one listener."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self.session = session
        self.base_url = base_url

    async def post(
        self,
        model: str | None = None,
        *,
        path: str = CHAT,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        content = json.dumps({"model": model}).encode() if body is None else body
        return await self.request("POST", path, content, headers)

    async def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        request_id = str(uuid.uuid4())
        all_headers = {"x-request-id": request_id, **(headers or {})}
        async with self.session.request(
            method, self.base_url + path, data=io.BytesIO(body), headers=all_headers
        ) as response:
            return Reply(request_id, response.status, response.headers, await response.read())


@dataclass(slots=True)
class Plane:
    """A running data plane. `providers` by what is special about them."""

    envoy: Envoy
    router: ScriptedRouter
    client: Client
    timed: Client
    providers: dict[str, Provider]
    http2: Http2Provider
    directory: Path

    async def logged(self, reply: Reply, event: str = "request") -> dict[str, object]:
        """The line of the access log about a request, or about its failed attempt."""
        words = f'"event":"{event}"', f'"request_id":"{reply.request_id}"'
        line = await asyncio.to_thread(self.envoy.access_log.wait_for, lambda line: all(word in line for word in words))
        return cast("dict[str, object]", json.loads(line))


def server_tls(authority: trustme.CA, *names: str, alpn: str = "http/1.1") -> ssl.SSLContext:
    """A server certificate for these names, and the one protocol that the server speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    context.set_alpn_protocols([alpn])
    return context


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running_plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    directory = tmp_path_factory.mktemp("envoy")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    async with AsyncExitStack() as stack:
        providers = {
            name: await stack.enter_async_context(provider)
            for name, provider in {
                "plain": Provider(),
                "other port": Provider(),
                "ipv6": Provider(host="::1"),
                "tls": Provider(tls=server_tls(authority, "provider.test")),
                "tls by address": Provider(tls=server_tls(authority, "127.0.0.1")),
            }.items()
        }
        http2 = await stack.enter_async_context(Http2Provider(server_tls(authority, "127.0.0.1", alpn="h2")))
        refused = stack.enter_context(refused_port())
        router = await stack.enter_async_context(ScriptedRouter())
        ports = {name: provider.port for name, provider in providers.items()}
        config = _config({**ports, "http2": http2.port}, refused)
        write_rendered(
            config, directory, [router.address], ca_file=str(directory / "ca.pem"), missing={"test/missing-key"}
        )
        envoy = await stack.enter_async_context(Envoy(directory))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        yield Plane(
            envoy,
            router,
            Client(session, f"http://127.0.0.1:{envoy.port('egress')}"),
            Client(session, f"http://127.0.0.1:{envoy.port('timed')}"),
            providers,
            http2,
            directory,
        )


def _config(ports: Mapping[str, int], refused: int) -> Config:
    plain = f"http://127.0.0.1:{ports['plain']}"
    tls = f"https://127.0.0.1:{ports['tls']}"
    return Config.model_validate(
        {
            "listeners": [
                {"name": "egress", "address": "127.0.0.1"},
                {"name": "timed", "address": "127.0.0.1", "timeout": "500ms"},
            ],
            "router": {"timeout": "2s"},  # the wait for a silent service; short enough to test, long for a busy machine
            "model_providers": [
                {"model": "test/plain", "base_url": plain, "access_key": "sk-plain"},
                {
                    "model": "test/prefix",
                    "base_url": f"{plain}/openai/v1?api-version=2024-10-21",
                    "access_key": "sk-prefix",
                    "headers": {"X-Team": "search"},
                    "http_host": "llm.internal",
                },
                {"model": "azure_openai/gpt-4o", "base_url": plain, "access_key": "sk-azure"},
                {"model": "test/passthrough", "base_url": plain, "passthrough_auth": True},
                {"model": "test/no-key", "base_url": plain},
                {"model": "test/missing-key", "base_url": plain},
                {"model": "wild/*", "base_url": plain},
                {"model": "test/other-port", "base_url": f"http://127.0.0.1:{ports['other port']}"},
                {"model": "test/by-name", "base_url": f"http://localhost:{ports['plain']}"},
                {"model": "test/ipv6", "base_url": f"http://[::1]:{ports['ipv6']}"},
                {"model": "test/down", "base_url": f"http://127.0.0.1:{refused}"},
                {"model": "test/unresolvable", "base_url": "http://nowhere.invalid"},
                {"model": "test/tls", "base_url": tls, "http_host": "provider.test"},
                {"model": "test/tls-by-address", "base_url": f"https://127.0.0.1:{ports['tls by address']}"},
                {"model": "test/http2", "base_url": f"https://127.0.0.1:{ports['http2']}", "access_key": "sk-http2"},
                {"model": "test/tls-other-name", "base_url": tls, "http_host": "other.test"},
                {"model": "test/tls-no-name", "base_url": tls},
            ],
        }
    )


@pytest.fixture
def plane(running_plane: Plane) -> Plane:
    """The shared Envoy, with nothing left of the test before."""
    running_plane.router.script = route_by_model
    running_plane.router.exchanges.clear()
    for provider in running_plane.providers.values():
        provider.respond = answer_ok
        provider.received.clear()
    return running_plane
