"""What one request costs: the constants of `router-service plan`.

    python -m benchmarks.capacity [--requests N] [--streams N] [--write]

Starts the installed router and a real Envoy in front of a local provider, sends requests, and reads from /proc how much
CPU each process has spent on them. CPU time, other than seconds on the clock, hardly changes with what else the machine
does. `--write` puts the result where `plan` reads it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import msgspec
from aiohttp import web

from router_service.capacity import measured
from router_service.capacity.model import Constants
from tests.support.providers import Received
from tests.support.stack import Stack, running_stack, until

CONCURRENCY = 16
COMMAND = "python -m benchmarks.capacity --write"
_WORDS = (
    *("please", "write", "explain", "a", "function", "that", "parses", "translates", "the", "contract", "table"),
    *("into", "of", "an", "error", "and", "returns"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures what one request costs.")
    parser.add_argument("--requests", type=int, default=4000, help="of each kind (default: 4000)")
    parser.add_argument("--streams", type=int, default=1000, help="open at once, for Envoy's memory (default: 1000)")
    parser.add_argument("--write", action="store_true", help="keep the result for router-service plan")
    args = parser.parse_args()
    constants = asyncio.run(measure(args.requests, args.streams))
    text = msgspec.json.format(msgspec.json.encode(constants), indent=2).decode() + "\n"
    print(text, end="")
    if args.write:
        Path(measured.__file__).with_name(measured.FILE).write_text(text)


async def measure(requests: int, streams: int) -> Constants:
    with TemporaryDirectory(prefix="capacity-") as directory:
        async with running_stack(Path(directory), routers=1, service={}) as stack:
            router = stack.routers[0].child
            assert router is not None
            await _send(stack, requests // 10 + 1, named=True)  # connections, caches, code paths
            await _send(stack, requests // 10 + 1, named=False)
            envoy_ms, named_ms = await _cost(stack, router.process.pid, requests, named=True)
            _, classified_ms = await _cost(stack, router.process.pid, requests, named=False)
            idle, each = await _memory(stack, streams)
    return replace(
        Constants(0, 0, 0, idle, each, _machine(), COMMAND),
        envoy_cpu_ms=_round(envoy_ms),
        router_cpu_ms=_round(named_ms),
        embedded_cpu_ms=_round(max(0.0, classified_ms - named_ms)),
    )


async def _cost(stack: Stack, router: int, requests: int, *, named: bool) -> tuple[float, float]:
    """CPU milliseconds a request, of Envoy and of the router's processes."""
    before = _cpu_s([stack.envoy.pid]), _cpu_s(_family(router))
    await _send(stack, requests, named=named)
    after = _cpu_s([stack.envoy.pid]), _cpu_s(_family(router))
    return (after[0] - before[0]) * 1000 / requests, (after[1] - before[1]) * 1000 / requests


async def _send(stack: Stack, requests: int, *, named: bool) -> None:
    numbers = iter(range(requests))
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as clients:

        async def client() -> None:
            for number in numbers:
                async with session.post(stack.url, data=_body(number, named=named)) as response:
                    assert response.status == 200, await response.text()
                    await response.read()

        for _ in range(CONCURRENCY):
            clients.create_task(client())


def _body(number: int, *, named: bool) -> bytes:
    """A question of some 20 words, each another, so that nothing comes from a cache."""
    words = [_WORDS[(number * 7 + position * (1 + number % 5)) % len(_WORDS)] for position in range(20)]
    content = f"{' '.join(words)} {number}"
    return json.dumps(
        {"model": "test/plain" if named else "auto", "messages": [{"role": "user", "content": content}]}
    ).encode()


async def _memory(stack: Stack, streams: int) -> tuple[int, int]:
    """Envoy's memory without open streams, and what each of them adds."""
    finish, arrived = asyncio.Event(), 0

    async def stream(request: web.Request, _: Received) -> web.StreamResponse:
        nonlocal arrived
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: {}\n\n")
        arrived += 1
        await finish.wait()
        return response

    idle = _memory_bytes(stack.envoy.pid)
    stack.provider.respond = stream
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as clients:

        async def client(number: int) -> None:
            async with session.post(stack.url, data=_body(number, named=True)) as response:
                await response.read()

        for number in range(streams):
            clients.create_task(client(number))
        await until(lambda: arrived == streams, f"{streams} open streams", tries=2400)
        full = _memory_bytes(stack.envoy.pid)
        finish.set()
    return idle, max(0, full - idle) // streams


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def _cpu_s(pids: list[int]) -> float:
    """User and system time (proc(5): fields 14 and 15 of stat)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_bytes(pid: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _machine() -> str:
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = model[1].strip() if model else platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}, Envoy 1.40.0"


def _round(milliseconds: float) -> float:
    return float(f"{milliseconds:.3g}")


if __name__ == "__main__":
    main()
