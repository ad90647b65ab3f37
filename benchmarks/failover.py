"""What failing over costs, and that clients never see it: `make bench-failover`.

cost    one request at a time. A pool whose first models fail at once, against what its attempts take by themselves:
        asked directly, the models that fail and the one that serves. What is left is the failover: a pause of a few
        milliseconds at random, the next attempt's way through Envoy, and putting the next model's id into the body.
killed  many requests at a time, while the pool's first provider is killed and started again every second. Every
        request must be answered with 200, by a model of the pool.

Absolute figures belong to the machine. Exit code 1 if a client saw an error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.parts import answering_envoy, running_router, wait_until_routed
from router_service.up.ports import free_ports
from tests.support.envoy import never_left_alone
from tests.support.providers import Provider, answer_ok, answers

FAILING = ("one/fails", "two/fails")
SERVING = "three/serves"
MESSAGES = [{"role": "user", "content": "Why is the sky blue?"}]
RESTART_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=10_000, help="while the provider is killed (default 10000)")
    parser.add_argument("--concurrency", type=int, default=64, help="of these requests (default 64)")
    parser.add_argument("--rounds", type=int, default=300, help="of single requests for the cost (default 300)")
    args = parser.parse_args()
    print(_cost_table(asyncio.run(_measure_cost(args.rounds))))
    answered = asyncio.run(_kill_the_first(args.requests, args.concurrency))
    print(f"\n{args.requests} requests at concurrency {args.concurrency}, the first provider killed every second\n")
    print(answered.table())
    return 0 if answered.statuses == {"200": args.requests} else 1


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of one request each, in the same rounds: through the pool, and of its attempts asked directly."""

    failed: int
    pool_ms: Sequence[float]
    apart_ms: Sequence[float]


async def _measure_cost(rounds: int) -> list[Cost]:
    async with AsyncExitStack() as stack:
        ports = []
        for respond in (answers(429), answers(503), answer_ok):
            provider = await stack.enter_async_context(Provider())
            provider.respond = respond
            ports.append(provider.port)
        models = dict(zip((*FAILING, SERVING), ports, strict=True))
        url, session = await stack.enter_async_context(_routed(models, edit=never_left_alone))

        async def time_ms(model: str) -> float:
            began = time.perf_counter()
            async with session.post(url, json={"model": model, "messages": MESSAGES}) as response:
                await response.read()
            return (time.perf_counter() - began) * 1000

        costs = []
        for alias, failed in (("pool-1", FAILING[1:]), ("pool-2", FAILING)):
            pool_ms, apart_ms = [], []
            for _ in range(rounds):
                pool_ms.append(await time_ms(alias))
                apart_ms.append(sum([await time_ms(model) for model in (*failed, SERVING)]))
            costs.append(Cost(len(failed), pool_ms, apart_ms))
        return costs


def _cost_table(costs: Sequence[Cost]) -> str:
    lines = [f"{'failed attempts':<18}{'pool p50':>12}{'apart p50':>12}{'added p50':>12}{'added p95':>12}   ms"]
    for cost in costs:
        added = sorted(pool - apart for pool, apart in zip(cost.pool_ms, cost.apart_ms, strict=True))
        figures = (
            statistics.median(cost.pool_ms),
            statistics.median(cost.apart_ms),
            statistics.median(added),
            added[int(len(added) * 0.95)],
        )
        lines.append(f"{cost.failed:<18}" + "".join(f"{figure:12.2f}" for figure in figures))
    return "\n".join(lines)


@dataclass(slots=True)
class Answered:
    """What became of the requests."""

    statuses: Counter[str] = field(default_factory=Counter)
    served_by: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    def table(self) -> str:
        rows = [("status", self.statuses), ("served by", self.served_by)]
        lines = [f"{title:<12}{name:<24}{count:8}" for title, counts in rows for name, count in sorted(counts.items())]
        return "\n".join([*lines, f"{'killed':<36}{self.kills:8}"])


async def _kill_the_first(requests: int, concurrency: int) -> Answered:
    answered = Answered()
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        models = (*FAILING, SERVING)
        ports = free_ports(len(models))
        for port in ports[1:]:
            stack.callback(answering_envoy(scratch / str(port), port).stop)
        url, session = await stack.enter_async_context(_routed(dict(zip(models, ports, strict=True))))
        left = iter(range(requests))

        async def client() -> None:
            for _ in left:
                try:
                    async with session.post(url, json={"model": "pool-2", "messages": MESSAGES}) as response:
                        await response.read()
                        answered.statuses[str(response.status)] += 1
                        answered.served_by[response.headers.get("x-router-served-by", "nobody")] += 1
                except aiohttp.ClientError as error:
                    answered.statuses[type(error).__name__] += 1

        begin = asyncio.Event()

        async def killer() -> None:
            while True:
                first = answering_envoy(scratch / "first", ports[0])
                try:
                    await asyncio.to_thread(first.wait_until_ready)
                    begin.set()
                    await asyncio.sleep(RESTART_S)
                finally:
                    first.kill()
                answered.kills += 1

        async with asyncio.TaskGroup() as group:
            killing = group.create_task(killer())
            await begin.wait()
            clients = [group.create_task(client()) for _ in range(concurrency)]
            await asyncio.wait(clients)
            killing.cancel()
    return answered


@asynccontextmanager
async def _routed(
    ports: dict[str, int], *, edit: Callable[[dict[str, str]], None] = lambda _: None
) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """Envoy and a worker in front of these providers; where to send requests, and with what."""
    entries = [{"model": model, "base_url": f"http://127.0.0.1:{port}"} for model, port in ports.items()]
    config = {
        "listeners": [{"name": "routed", "address": "127.0.0.1"}],
        "model_providers": entries,
        "model_aliases": {"pool-1": {"targets": [*FAILING[1:], SERVING]}, "pool-2": {"targets": [*FAILING, SERVING]}},
    }
    with (
        tempfile.TemporaryDirectory() as scratch,
        running_router(json.dumps(config), Path(scratch), edit=edit) as envoy,
    ):
        port = envoy.port("routed")
        await asyncio.to_thread(wait_until_routed, port)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            yield f"http://127.0.0.1:{port}/v1/chat/completions", session


if __name__ == "__main__":
    sys.exit(main())
