"""What a large configuration costs: reading it, rendering it for Envoy, Envoy's own check of it, and Envoy's start.

    python -m benchmarks.render [--providers 50] [--models 200] [--preferences 100] [--rounds 5]

Rendering is what `router-service envoy render` does after its imports. The first round also builds what later ones find
built, as a command does that runs once. CPU is this process' own: on a busy machine it says more than the clock.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from router_service.config.load import loads
from router_service.dataplane.authorities import find_ca_file
from router_service.dataplane.deployment import Deployment
from router_service.dataplane.files import write
from router_service.dataplane.render import render
from router_service.errors import SetupError
from tests.support.envoy import Envoy, validate
from tests.support.large import MODELS, PREFERENCES, PROVIDERS, configuration, environment

T = TypeVar("T")
Times = dict[str, list[tuple[float, float]]]  # of each step, by the clock and of CPU, in seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--providers", type=int, default=PROVIDERS)
    parser.add_argument("--models", type=int, default=MODELS)
    parser.add_argument("--preferences", type=int, default=PREFERENCES)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    text = configuration(args.providers, args.models, args.preferences)
    times: Times = {}
    with tempfile.TemporaryDirectory() as scratch:
        deployment = Deployment(directory=scratch, service=(), ca_file=find_ca_file(), admin_port=0)
        for _ in range(args.rounds):
            loaded = _timed(times, "read", lambda: loads(text, environment(args.providers)))
            files = _timed(times, "render", lambda: render(loaded.config, deployment))  # noqa: B023 - called at once
            _timed(times, "write", lambda: write(files, Path(scratch)))  # noqa: B023 - called at once
        if objection := _timed(times, "envoy --mode validate", lambda: validate(Path(scratch))):
            raise SetupError(objection)
        envoy = Envoy(Path(scratch))
        try:
            _timed(times, "Envoy ready", envoy.wait_until_ready)
            instances = envoy.inotify_instances
        finally:
            envoy.stop()
    print(f"{args.providers} providers, {args.models} models, {args.preferences} preferences")
    print(f"{'':24}{'first':>8}{'median':>8}{'CPU first':>12}{'median':>8}   s")
    for what, measured in times.items():
        clock, cpu = zip(*measured, strict=True)
        figures = f"{clock[0]:8.2f}{statistics.median(clock):8.2f}{cpu[0]:12.2f}{statistics.median(cpu):8.2f}"
        print(f"{what:24}{figures}")
    print(f"{'rendered':24}{sum(map(len, files.values())) / 2**20:8.2f} MiB in {len(files)} files")
    print(f"{'inotify instances':24}{instances:5d}")
    return 0


def _timed(times: Times, what: str, work: Callable[[], T]) -> T:
    begun, cpu_begun = time.perf_counter(), time.process_time()
    result = work()
    times.setdefault(what, []).append((time.perf_counter() - begun, time.process_time() - cpu_begun))
    return result


if __name__ == "__main__":
    raise SystemExit(main())
