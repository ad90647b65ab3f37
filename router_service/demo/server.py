"""The demo provider on a port: HTTP in, `answers` out, a word at a time where the client streams."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from router_service.demo.answers import Api, Asked, Event, Reply, error, find_api, mask, models

# Fast enough not to annoy, slow enough to see that words arrive one by one.
WORD_DELAY_S = 0.03

# As much as the router's default limits.max_body_bytes; a demo provider should not be what refuses a request.
MAX_BODY_BYTES = 32 * 1024**2

KEY_HEADERS = ("Authorization", "x-api-key", "api-key")


def build_app(name: str, word_delay_s: float = WORD_DELAY_S) -> web.Application:
    """The demo provider called `name`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        api = find_api(request.path)
        if request.method == "GET" and request.path.endswith("/models"):
            return _json(models(name, int(time.time())))
        if api is None or request.method != "POST":
            return _json(error(f'demo provider "{name}" has no {request.method} {request.path}'), 404)
        try:
            body = msgspec.json.decode(await request.read(), type=dict[str, object])
        except msgspec.DecodeError as reason:
            return _json(error(f"the body is not a JSON object: {reason}"), 400)
        asked = Asked(name, request.path, body, _masked_keys(request))
        reply = Reply(asked, f"demo-{uuid.uuid4().hex[:12]}", int(time.time()))
        if asked.streams and api.events is not None:
            return await _stream(request, api, reply)
        return _json(api.whole(reply))

    async def _stream(request: web.Request, api: Api, reply: Reply) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
        await response.prepare(request)
        assert api.events is not None
        for event in api.events(reply):
            await response.write(_encode(event))
            await asyncio.sleep(word_delay_s)
        await response.write_eof()
        return response

    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", answer)
    return app


@asynccontextmanager
async def demo_provider(name: str, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Serve it inside the block; gives the port, which the system chooses for 0. OSError if it is taken."""
    runner = web.AppRunner(build_app(name), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: int = runner.addresses[0][1]
        yield bound
    finally:
        await runner.cleanup()


def _masked_keys(request: web.Request) -> dict[str, str]:
    sent = ((header, request.headers.get(header)) for header in KEY_HEADERS)
    return {header: mask(value.removeprefix("Bearer ")) for header, value in sent if value is not None}


def _encode(event: Event) -> bytes:
    payload = event.payload.encode() if isinstance(event.payload, str) else msgspec.json.encode(event.payload)
    name = f"event: {event.name}\n".encode() if event.name else b""
    return name + b"data: " + payload + b"\n\n"


def _json(body: dict[str, object], status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body) + b"\n", status=status, content_type="application/json")
