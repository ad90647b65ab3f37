"""What a large configuration costs: reading it, rendering it for Envoy, Envoy's own check of it, and Envoy's start.

    python -m benchmarks.render [--providers 50] [--models 200] [--preferences 100] [--rounds 5]

Rendering is what `router-service envoy render` does after its imports, in one process; the median of the rounds counts.
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--providers", type=int, default=PROVIDERS)
    parser.add_argument("--models", type=int, default=MODELS)
    parser.add_argument("--preferences", type=int, default=PREFERENCES)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    text = configuration(args.providers, args.models, args.preferences)
    times: dict[str, list[float]] = {}
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
    for what, seconds in times.items():
        print(f"{what:24}{statistics.median(seconds):8.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})")
    print(f"{'rendered':24}{sum(map(len, files.values())) / 2**20:8.2f} MiB in {len(files)} files")
    print(f"{'inotify instances':24}{instances:5d}")
    return 0


def _timed(times: dict[str, list[float]], what: str, work: Callable[[], T]) -> T:
    begun = time.perf_counter()
    result = work()
    times.setdefault(what, []).append(time.perf_counter() - begun)
    return result


if __name__ == "__main__":
    raise SystemExit(main())
