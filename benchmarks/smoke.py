"""What the router costs: wrk through one Envoy without the ext_proc filter and with it, in turns, in one run.

Both sides are the rendered configuration, the provider is an Envoy that answers at once, and an explicit model is
named, so the difference is the filter, the gRPC hop and the service. Absolute figures belong to the machine; the ratios
are the result. `make bench-smoke`
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.parts import answering_envoy, running_router, wait_until_routed
from benchmarks.wrk import Load, run_wrk

MODEL = "local/echo"
UPSTREAM = f"model/{MODEL}"
BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Why is the sky blue? " * 20}]})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=5, help="of load in each round (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="of each side, in turns (default 3)")
    parser.add_argument("--connections", type=int, default=32)
    args = parser.parse_args()
    without: list[Load] = []
    with_router: list[Load] = []
    with tempfile.TemporaryDirectory() as scratch, _stack(Path(scratch)) as (plain_port, routed_port):
        for port in (plain_port, routed_port):
            run_wrk(port, BODY, connections=args.connections, duration_s=1)  # warm connections and caches
        for _ in range(args.rounds):
            for port, loads in ((plain_port, without), (routed_port, with_router)):
                loads.append(run_wrk(port, BODY, connections=args.connections, duration_s=args.seconds))
    print(_table(without, with_router, args.connections))
    return 1 if any(load.failed for load in (*without, *with_router)) else 0


def _table(without: list[Load], with_router: list[Load], connections: int) -> str:
    rows = [f"explicit model, {connections} connections, median of {len(without)} rounds", ""]
    rows.append(f"{'':24}{'without':>12}{'with':>12}{'with/without':>15}")
    for name, attribute in (("requests per second", "per_second"), ("p50 ms", "p50_ms"), ("p99 ms", "p99_ms")):
        plain, routed = (
            statistics.median(getattr(load, attribute) for load in loads) for loads in (without, with_router)
        )
        rows.append(f"{name:24}{plain:12.2f}{routed:12.2f}{routed / plain:15.2f}")
    failed = [sum(load.failed for load in loads) for loads in (without, with_router)]
    rows.append(f"{'failed requests':24}{failed[0]:12d}{failed[1]:12d}")
    return "\n".join(rows)


@contextmanager
def _stack(scratch: Path) -> Iterator[tuple[int, int]]:
    """A provider, a worker and Envoy; the ports of the listener without the filter and of the one with it."""
    provider = answering_envoy(scratch / "provider")
    try:
        provider.wait_until_ready()
        base_url = f"http://127.0.0.1:{provider.port('provider')}"
        config = (
            "listeners: [{name: routed, address: 127.0.0.1}]\n"
            f"model_providers: [{{model: {MODEL}, base_url: '{base_url}', default: true}}]\n"
        )
        with running_router(config, scratch, edit=_add_plain_listener) as envoy:
            wait_until_routed(envoy.port("routed"))
            yield envoy.port("plain"), envoy.port("routed")
    finally:
        provider.stop()


def _add_plain_listener(files: dict[str, str]) -> None:
    """Beside the edge its twin that skips ext_proc."""
    response = json.loads(files["lds.json"])
    routed = next(listener for listener in response["resources"] if listener["name"] == "routed")
    plain = json.loads(json.dumps(routed)) | {"name": "plain"}
    manager = plain["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = [f for f in manager["http_filters"] if f["name"] != "envoy.filters.http.ext_proc"]
    for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
        if route.get("route", {}).pop("cluster_header", None):
            route["route"]["cluster"] = UPSTREAM
    files["lds.json"] = json.dumps(response | {"resources": [*response["resources"], plain]})


if __name__ == "__main__":
    sys.exit(main())
