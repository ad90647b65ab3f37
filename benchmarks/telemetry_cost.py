"""What telling about one request costs its worker: microseconds of CPU for the metrics and for the log line.

    python -m benchmarks.telemetry_cost [--runs N]

Metrics keep their values as workers do, in memory-mapped files; lines go through the writer's thread to /dev/null. CPU
is that of all threads of the process, so the writer's own work is in it. `nothing` is what the loop around it costs.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from router_service.routing.catalog import Model, Target
from router_service.routing.decision import Classification, Decision, Reason, Source
from router_service.telemetry.line_writer import LineWriter
from router_service.telemetry.logs import Format, Level, LogSettings, build_log
from router_service.telemetry.metrics import Metrics, share_values
from router_service.telemetry.recorder import Recorder

SECONDS = 0.0034
REQUEST_ID = "7b2d1a52-9d0c-4c3f-8b1e-5f0a6f0c2e11"
MODEL = Model("anthropic/claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5")
CLASSIFICATION = Classification(Reason.MATCHED, "code generation", 0.71234, backend="embedded", latency_s=0.0021)
DECISION = Decision(
    Target(MODEL, MODEL.id), MODEL.upstream, Source.PREFERENCE, Reason.MATCHED, "code generation", CLASSIFICATION
)


@dataclass(frozen=True, slots=True)
class Cost:
    what: str
    cpu_us: float


def measure(what: str, act: Callable[[], None], *, runs: int) -> Cost:
    """The mean of `runs` calls, after a tenth as many that do not count."""
    for _ in range(runs // 10 + 1):
        act()
    began = time.process_time()
    for _ in range(runs):
        act()
    return Cost(what, 1e6 * (time.process_time() - began) / runs)


def measure_all(runs: int) -> list[Cost]:
    metrics = Metrics()

    def count() -> None:
        metrics.stream_opened()
        metrics.classification_started()
        metrics.classification_ended()
        metrics.classified(CLASSIFICATION)
        metrics.decided(DECISION, SECONDS)
        metrics.stream_closed()

    costs = [measure("nothing", lambda: None, runs=runs), measure("metrics", count, runs=runs)]
    lines = {f"a decision, {style} line": LogSettings(style, colour=True) for style in Format}
    for what, settings in (*lines.items(), ("a decision, no line", LogSettings(level=Level.WARNING))):
        with recorder(metrics, settings) as told:
            tell = partial(told.decided, DECISION, request_id=REQUEST_ID, seconds=SECONDS)
            costs.append(measure(what, tell, runs=runs))
    return costs


@contextmanager
def recorder(metrics: Metrics, settings: LogSettings) -> Iterator[Recorder]:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    writer = LineWriter(descriptor, max_lines=10**9)
    try:
        yield Recorder(metrics, build_log(settings, writer.write))
    finally:
        writer.close()
        os.close(descriptor)


def report(costs: Sequence[Cost]) -> str:
    return "\n".join(
        [
            f"Python {platform.python_version()}, {os.cpu_count()} CPUs; microseconds of CPU",
            *(f"{cost.what:<28} {cost.cpu_us:>7.2f}" for cost in costs),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50_000, help="calls of each kind (default 50000)")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as directory:
        share_values(Path(directory), 0)
        print(report(measure_all(options.runs)))


if __name__ == "__main__":
    main()
