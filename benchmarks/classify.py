"""What asking Arch-Router costs, five ways (`classify_ways`), on one vLLM in one run: `make bench-classify`.

The model has Arch-Router's dimensions and vLLM's dummy weights: every step computes what the real one computes, and
writes nonsense. Two loads:

    new      every question is about a conversation of its own: only the routes come from the prefix cache, and the
             prompt's fixed end is read each time
    again    the same questions once more, as in an agent's loop

A question is read, then its answer is written token by token, and only writing can be saved. A GPU reads many tokens in
about the time of writing one; on a CPU each token read costs its own time, so that `new` is mostly reading there.
Absolute figures belong to the machine; the ratios are the result. The ways take turns, so that a busy machine slows
them alike.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import platform
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from benchmarks.classify_ways import BLOCK_TOKENS, NAIVE, OURS, SINGLE, Way, config_of, conversations, ways
from router_service.classify.facts import Facts
from router_service.classify.opening import Opened, open_arch_router
from router_service.classify.replicas import Replica
from router_service.config.build import build_catalog
from router_service.routing.conversation import Conversation
from router_service.routing.prompt import LayoutName, build_prompt, frame_prompt, load_layout
from tests.vllm.model_files import ARCH_ROUTER, make_model_without_weights, make_tiny_model
from tests.vllm.server import VllmServer

RESULTS = Path(__file__).parent / "results"
MODEL = "Arch-Router"
LAYOUT = load_layout(LayoutName.MODEL_CARD)
NEW, AGAIN = "new", "again"
_LONGEST_PROBING_S = 300.0
_METRICS = (
    "vllm:generation_tokens_total",
    "vllm:prefix_cache_hits_total",
    "vllm:prefix_cache_queries_total",
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one way of asking under one load; `cached` is the share of prompt tokens that came from the prefix cache."""

    preferences: int
    concurrency: int
    way: str
    load: str
    questions: int
    p50_ms: float
    p99_ms: float
    decoded_tokens: float
    cached: float


@dataclass(slots=True)
class Tally:
    """What one way of asking took, summed up over its turns."""

    seconds: list[float] = field(default_factory=list)
    metrics: list[float] = field(default_factory=lambda: [0.0] * len(_METRICS))

    async def add(self, vllm: VllmServer, way: Way, asked: Sequence[Conversation]) -> None:
        """Ask all of these at once."""
        before = [vllm.metric(name) for name in _METRICS]

        async def time_one(conversation: Conversation) -> None:
            started_s = time.perf_counter()
            await way(conversation)
            self.seconds.append(time.perf_counter() - started_s)

        await asyncio.gather(*map(time_one, asked))
        after = [vllm.metric(name) for name in _METRICS]
        self.metrics = [total + now - was for total, now, was in zip(self.metrics, after, before, strict=True)]

    def cost(self, preferences: int, concurrency: int, way: str, load: str) -> Cost:
        decoded, hits, queries = self.metrics
        ordered = sorted(self.seconds)
        return Cost(
            preferences=preferences,
            concurrency=concurrency,
            way=way,
            load=load,
            questions=len(ordered),
            p50_ms=statistics.median(ordered) * 1e3,
            p99_ms=ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] * 1e3,
            decoded_tokens=decoded / len(ordered),
            cached=hits / queries,
        )


async def measure(
    vllm: VllmServer, *, preferences: Sequence[int], concurrencies: Sequence[int], questions: int
) -> list[Cost]:
    """In each round every way asks as many questions as may be under way at once, and then the same ones again.

    There are as many rounds as it takes to ask `questions` of them.
    """
    costs: list[Cost] = []
    for number in preferences:
        config = config_of(vllm.url, number)
        catalog = build_catalog(config)
        async with open_arch_router(config, catalog, timeout_s=3600, watcher=Silent()) as opened:
            (replica,) = await _probed(opened)
            names = [preference.name for preference in catalog.preferences]
            asking = await ways(opened.classifier, replica.server, model=MODEL, names=names, layout=LAYOUT)
            said = {name: conversations(seed=f"{number} {name}") for name in asking}
            for name, way in asking.items():
                await way(next(said[name]))  # compiles its grammar, reads the routes
            for concurrency in concurrencies:
                tallies = {(way, load): Tally() for way in asking for load in (NEW, AGAIN)}
                for _ in range(math.ceil(questions / concurrency)):
                    for name, way in asking.items():
                        asked = list(islice(said[name], concurrency))
                        for load in (NEW, AGAIN):
                            await tallies[name, load].add(vllm, way, asked)
                for (name, load), tally in tallies.items():
                    costs.append(tally.cost(number, concurrency, name, load))
                    print(_row(costs[-1]), flush=True)
    return costs


async def _probed(opened: Opened) -> Sequence[Replica]:
    """The replicas, once it is known how to ask them: a probe of a cold model on a slow machine may take too long."""
    async with asyncio.timeout(_LONGEST_PROBING_S):
        while not opened.replicas.known or any(replica.facts is None for replica in opened.replicas.known):
            await opened.watch.look()
    return opened.replicas.known


class Silent:
    """Nobody is told of the one server there is."""

    def found(self, address: str, facts: Facts) -> None: ...

    def lost(self, address: str, why: str) -> None: ...


_COLUMNS = ("preferences", "at once", "way", "load", "questions", "p50 ms", "p99 ms", "tokens", "cached")
_HEAD = "{:>11} {:>8}  {:13} {:6} {:>9} {:>8} {:>8} {:>7} {:>7}".format(*_COLUMNS)


def _row(cost: Cost) -> str:
    return (
        f"{cost.preferences:11} {cost.concurrency:8}  {cost.way:13} {cost.load:6} {cost.questions:9} "
        f"{cost.p50_ms:8.0f} {cost.p99_ms:8.0f} {cost.decoded_tokens:7.1f} {cost.cached:7.0%}"
    )


def ratios(costs: Sequence[Cost]) -> list[str]:
    """Ours against naive and against a single token, at p50."""
    p50_ms = {(cost.preferences, cost.concurrency, cost.load, cost.way): cost.p50_ms for cost in costs}
    return [
        f"{preferences:4} preferences, {concurrency:2} at once, {load:5}: "
        f"{p50_ms[preferences, concurrency, load, NAIVE] / ours_ms:.2f} times as fast as naive, "
        f"{ours_ms / p50_ms[preferences, concurrency, load, SINGLE]:.2f} times a single token"
        for (preferences, concurrency, load, way), ours_ms in p50_ms.items()
        if way == OURS
    ]


@contextmanager
def serving(model: str) -> Iterator[VllmServer]:
    """vLLM with a model of the named dimensions."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "model"
        arguments = ["--max-model-len", "16384", "--block-size", str(BLOCK_TOKENS)]
        if model == "tiny":
            make_tiny_model(directory, _corpus())
            arguments += ["--dtype", "float32"]
        else:
            make_model_without_weights(directory, _corpus(), ARCH_ROUTER)
            arguments += ["--dtype", "bfloat16", "--load-format", "dummy"]
        server = VllmServer(directory, log=Path(scratch) / "vllm.log", arguments=arguments)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def _corpus() -> list[str]:
    """English and code to learn a tokenizer from, and the prompt often enough that its words are tokens, as Qwen's."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    preferences = build_catalog(config_of("http://vllm:8000", 100)).preferences
    frame = frame_prompt(preferences, layout=LAYOUT, max_turns=1, max_prompt_tokens=2**20)
    texts = [path.read_text(errors="replace") for path in sorted(stdlib.glob("*.py"))]
    return texts + [build_prompt(frame, conversation) for conversation in islice(conversations(seed="corpus"), 500)]


def _save(costs: Sequence[Cost], arguments: Sequence[str], model: str) -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    about = {
        "command": " ".join(["python -m benchmarks.classify", *arguments]),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown"),
        "cores": str(sum(line.startswith("processor") for line in lines)),
        "python": platform.python_version(),
        "dimensions": model,
    }
    RESULTS.mkdir(exist_ok=True)
    measured = json.dumps({**about, "costs": [asdict(cost) for cost in costs]}, indent=1)
    (RESULTS / "classify.json").write_text(f"{measured}\n")
    table = [*(f"{key}: {value}" for key, value in about.items()), "", _HEAD, *map(_row, costs), "", *ratios(costs)]
    (RESULTS / "classify.txt").write_text("\n".join(table) + "\n")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="What asking Arch-Router costs, five ways, on one vLLM.")
    parser.add_argument("--model", choices=["arch-router", "tiny"], default="arch-router", help="whose dimensions")
    parser.add_argument("--questions", type=int, default=16, help="of each way in each cell, at least (default 16)")
    parser.add_argument("--preferences", type=int, nargs="+", default=[4, 20, 100])
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/classify.json and .txt")
    args = parser.parse_args(arguments)
    with serving(args.model) as vllm:
        print(_HEAD)
        costs = asyncio.run(
            measure(vllm, preferences=args.preferences, concurrencies=args.concurrency, questions=args.questions)
        )
    print("", *ratios(costs), sep="\n")
    if args.save:
        _save(costs, arguments, args.model)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
