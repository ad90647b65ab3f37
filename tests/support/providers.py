"""A local provider for tests: keeps what reached it, and answers as the test says."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web
from multidict import CIMultiDictProxy


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived; `path` includes the query."""

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: bytes


Respond = Callable[[web.Request, Received], Awaitable[web.StreamResponse]]


async def answer_ok(_: web.Request, received: Received) -> web.StreamResponse:
    """The default: 200, and the model that the body asked for."""
    model = json.loads(received.body).get("model") if received.body[:1] == b"{" else None
    return web.json_response({"id": "test", "object": "chat.completion", "model": model})


def answers(status: int, text: str = "{}", **headers: str) -> Respond:
    async def respond(_: web.Request, __: Received) -> web.StreamResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=text, headers=sent)

    return respond


async def resets(request: web.Request, _: Received) -> web.StreamResponse:
    """Ends the connection before the first byte."""
    assert request.transport is not None
    request.transport.abort()
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


class Provider:
    """`async with Provider() as provider`: serves on a port of its own; `respond` answers each request."""

    def __init__(self, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.respond: Respond = answer_ok
        self.received: list[Received] = []
        self.port = 0
        self._host = host
        self._tls = tls
        app = web.Application(client_max_size=64 * 1024**2)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)

    @property
    def last(self) -> Received:
        return self.received[-1]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(request.method, request.path_qs, request.headers, await request.read())
        self.received.append(received)
        return await self.respond(request, received)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, 0, ssl_context=self._tls).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
