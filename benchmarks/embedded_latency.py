"""What one classification in process costs: milliseconds by length of the turn, turns a second, memory.

    python -m benchmarks.embedded_latency [--model-dir DIR] [--runs N]

Asks the classifier as the service does, one after the other, each time other texts, so that the newest turn is never in
its cache. The turns before it are ("earlier", as they are once they have been classified), or are not ("none", as when
a replica sees a conversation for the first time). CPU is the mean of all threads of the process, which a busy machine
stretches less than the rest. Compare figures of one run with each other, not with those of another machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from router_service.classify import Classifier
from router_service.classify.embedded import EmbeddedClassifier
from router_service.classify.encoder import load_encoder
from router_service.config.models import Router
from router_service.errors import SetupError
from router_service.routing.catalog import Preference
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.follow import MOST_TURNS

# A short question, a paragraph, and a pasted document, of which the first and last hundred words are read.
LENGTHS_WORDS = (8, 128, 2000)
# A request on its own; the eighth turn of a conversation; the same, first seen by this replica.
CONVERSATIONS = ((1, False), (MOST_TURNS, True), (MOST_TURNS, False))
PREFERENCES = tuple(
    Preference(name, description, ())
    for name, description in (
        ("code generation", "new code written on request, functions, scripts and classes, SQL queries, unit tests"),
        ("debugging", "error messages, stack traces and crashes, failing builds and tests, the cause of a bug"),
        ("data analysis", "interpretation of figures, tables and CSV data, business metrics, trends and outliers"),
        ("translation", "translation of texts from one language into another, localisation of user interfaces"),
        ("creative writing", "stories, poems and song lyrics, dialogue, slogans, speeches and toasts"),
        ("legal questions", "contracts and their clauses, tenancy, employment and consumer law, privacy"),
    )
)
_WORDS = " ".join(preference.description for preference in PREFERENCES).replace(",", "").split()


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one length of turn and of conversation; `cached` says whether the earlier turns had been seen."""

    words: int
    turns: int
    cached: bool
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    per_second: float


async def measure(
    classifier: Classifier, *, words: int, runs: int, turns: int = 1, cached: bool = False, seed: int = 7
) -> Cost:
    """Time `runs` conversations of `turns` turns of `words` words, after a tenth as many that do not count."""
    texts = random.Random(seed)
    durations_s = []
    cpu_s = 0.0
    for run in range(-(runs // 10) - 1, runs):
        said = tuple(Turn("user", " ".join(texts.choices(_WORDS, k=words))) for _ in range(turns))
        conversation = Conversation(said)
        if cached:
            await classifier.classify(Conversation(said[:-1]))
        began, began_cpu = time.perf_counter(), time.process_time()
        await classifier.classify(conversation)
        if run >= 0:
            durations_s.append(time.perf_counter() - began)
            cpu_s += time.process_time() - began_cpu
    return Cost(
        words,
        turns,
        cached,
        p50_ms=1000 * statistics.median(durations_s),
        p99_ms=1000 * sorted(durations_s)[int(0.99 * len(durations_s))],
        cpu_ms=1000 * cpu_s / runs,
        per_second=len(durations_s) / sum(durations_s),
    )


def report(costs: Sequence[Cost], model: str, resident_bytes: int) -> str:
    lines = [
        f"{model}, onnxruntime {onnxruntime.__version__}, Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"{len(PREFERENCES)} preferences",
        f"{'words':>8} {'turns':>8} {'cached':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>8} {'a second':>8}",
        *(
            f"{cost.words:>8} {cost.turns:>8} {'earlier' if cost.cached else 'none':>8} "
            f"{cost.p50_ms:>8.2f} {cost.p99_ms:>8.2f} {cost.cpu_ms:>8.2f} {cost.per_second:>8.0f}"
            for cost in costs
        ),
        f"resident memory of this process: {resident_bytes / 1e6:.0f} MB",
    ]
    return "\n".join(lines)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-dir", type=Path, help="another encoder than the built-in one")
    parser.add_argument("--runs", type=int, default=300, help="turns of each length (default 300)")
    options = parser.parse_args(arguments)
    try:
        encoder = load_encoder(options.model_dir)
    except SetupError as error:
        parser.exit(1, f"{error}\n")
    classifier = EmbeddedClassifier(PREFERENCES, encoder, Router())

    async def measure_all() -> list[Cost]:
        return [
            await measure(classifier, words=words, runs=options.runs, turns=turns, cached=cached, seed=seed)
            for seed, (turns, cached) in enumerate(CONVERSATIONS)
            for words in LENGTHS_WORDS
        ]

    costs = asyncio.run(measure_all())
    print(report(costs, encoder.name, resident_bytes()))


if __name__ == "__main__":
    main()
