"""A model server that does what real ones do only on bad days, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


# What the server does with one request. When it returns, the connection is kept; it closes it itself if it wants to.
Script = Callable[[Request, asyncio.StreamWriter], Coroutine[None, None, None]]


@dataclass
class ScriptedServer:
    """`script` may be changed at any time; `requests` is what came."""

    script: Script
    host: str = "127.0.0.1"
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await _read(reader)
                self.requests.append(request)
                self.arrived.set()
                answering = asyncio.create_task(self.script(request, writer))
                gone = asyncio.create_task(reader.read(1))
                await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    gone.cancel()
                    await asyncio.gather(gone, return_exceptions=True)
                    continue
                answering.cancel()
                break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.hung_up.set()
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split()
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def running(script: Script, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer(script, host)
    server = await asyncio.start_server(scripted.serve, host, port)
    scripted.port = server.sockets[0].getsockname()[1]
    try:
        yield scripted
    finally:
        server.close()


def http(status: int, body: bytes, *, length: int | None = None) -> bytes:
    head = (
        f"HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {length or len(body)}\r\n\r\n"
    )
    return head.encode() + body


def answer(status: int, body: bytes, *, length: int | None = None) -> Script:
    async def script(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(http(status, body, length=length))
        if length is not None:
            writer.close()
        await writer.drain()

    return script


def complete(text: str) -> Script:
    """A completion with this text."""
    return answer(200, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode())


async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def trickle(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(http(200, b'{"choices": [', length=1000))
    await writer.drain()
    await asyncio.Event().wait()


async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(http(200, b"", length=2**40))
    while True:
        writer.write(b" " * 65536)
        await writer.drain()


async def reset(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def close(request: Request, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def half_close(request: Request, writer: asyncio.StreamWriter) -> None:
    """Says that nothing will come, and keeps the connection."""
    writer.write_eof()
    await asyncio.Event().wait()
