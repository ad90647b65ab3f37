"""The service's own HTTP server for operators: metrics and health, served by the supervisor.

Nothing in here runs in a process that routes requests. /livez and /readyz answer like Kubernetes' own components:
https://kubernetes.io/docs/reference/using-api/health-checks/. Ready means that at least one worker takes requests:
Envoy checks each worker itself and sends nothing to the others.
"""

from __future__ import annotations

import asyncio
import html
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from router_service import __version__
from router_service.config.service import TcpAddress
from router_service.errors import SetupError
from router_service.health import Component

Check = Callable[[], Awaitable[Sequence[Component]]]

PAGES = (
    ("/metrics", "Prometheus metrics of all workers"),
    ("/livez", "is this process alive"),
    ("/readyz?verbose", "are the workers taking requests, one line each"),
)


def build_admin(registry: CollectorRegistry, check: Check, stopping: Callable[[], bool]) -> web.Application:
    """The server's application. `check` asks the components, `stopping` says that the service is on its way out."""

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        body = await asyncio.to_thread(encode, registry)
        return web.Response(body=body, headers={"content-type": content_type})

    async def livez(request: web.Request) -> web.Response:
        return _health([Component("ping")], ready=True, request=request, name="livez")

    async def readyz(request: web.Request) -> web.Response:
        workers = await check()
        serving = any(worker.problem is None for worker in workers) and not stopping()
        shutdown = Component("shutdown", "in progress" if stopping() else None)
        return _health([*workers, shutdown], ready=serving, request=request, name="readyz")

    async def front(_: web.Request) -> web.Response:
        return web.Response(text=_front_page(), content_type="text/html")

    app = web.Application()
    app.add_routes(
        [
            web.get("/metrics", metrics),
            web.get("/livez", livez),
            web.get("/readyz", readyz),
            web.get("/", front),
        ]
    )
    return app


@asynccontextmanager
async def serve_admin(app: web.Application, address: TcpAddress) -> AsyncIterator[TcpAddress]:
    """Serve it inside the block; gives the address with the port that was bound. SetupError if it is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port)
        try:
            await site.start()
        except OSError as error:
            cause = os.strerror(error.errno) if error.errno else str(error)
            raise SetupError(
                f"Cannot serve metrics and health on {address}: {cause}; choose another with --admin or service.admin."
            ) from error
        yield TcpAddress(address.host, int(runner.addresses[0][1]))
    finally:
        await runner.cleanup()


def _health(components: Sequence[Component], *, ready: bool, request: web.Request, name: str) -> web.Response:
    """`ok`; every component on a line of its own if asked for, or if something is wrong."""
    lines = [f"[{'-' if part.problem else '+'}]{part.name} {part.problem or 'ok'}" for part in components]
    verdict = f"{name} check {'passed' if ready else 'failed'}"
    text = "ok" if ready and "verbose" not in request.query else "\n".join([*lines, verdict])
    return web.Response(text=f"{text}\n", status=200 if ready else 503)


def _front_page() -> str:
    rows = "".join(f'<li><a href="{path}">{html.escape(path)}</a> {html.escape(what)}</li>' for path, what in PAGES)
    title = f"router-service {__version__}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px/1.6 system-ui,sans-serif;max-width:40em;margin:3em auto;padding:0 1em}"
        "a{font-family:ui-monospace,monospace}</style>"
        f"<h1>{title}</h1><ul>{rows}</ul></html>\n"
    )
