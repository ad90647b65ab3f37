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
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.wrk import Load, run_wrk
from router_service.config.load import load
from router_service.config.service import UnixAddress
from router_service.dataplane.deployment import Deployment
from router_service.dataplane.files import write
from router_service.dataplane.render import render
from router_service.errors import SetupError
from router_service.up.ports import free_ports
from tests.support.envoy import Envoy
from tests.support.processes import Child

MODEL = "local/echo"
UPSTREAM = f"model/{MODEL}"
BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Why is the sky blue? " * 20}]})
COMPLETION = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "echo",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Rayleigh."}, "finish_reason": "stop"}],
    }
)


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
    provider = _provider(scratch / "provider")
    children: list[Envoy | Child] = [provider]
    try:
        provider.wait_until_ready()
        config = scratch / "config.yaml"
        base_url = f"http://127.0.0.1:{provider.port('provider')}"
        config.write_text(
            "listeners: [{name: routed, address: 127.0.0.1, port: 1}]\n"
            f"model_providers: [{{model: {MODEL}, base_url: '{base_url}', default: true}}]\n"
        )
        socket = scratch / "router.sock"
        command: list[str | Path] = [
            Path(sys.executable).with_name("router-service"),
            "serve",
            config,
            "--log-level",
            "warning",
        ]
        (admin,) = free_ports(1)
        children.append(Child([*command, "--listen", f"unix:{socket}", "--admin", f"127.0.0.1:{admin}"]))
        directory = scratch / "envoy"
        deployment = Deployment(
            directory=str(directory),
            service=(UnixAddress(str(socket)),),
            ca_file="/dev/null",
            admin_port=0,
            access_log="/dev/null",
        )
        files = render(load(config, {}).config, deployment)
        write({**files, "lds.json": _with_plain_listener(files["lds.json"])}, directory)
        envoy = Envoy(directory)
        children.append(envoy)
        envoy.wait_until_ready()
        _wait_until_routed(envoy.port("routed"))
        yield envoy.port("plain"), envoy.port("routed")
    finally:
        for child in reversed(children):
            child.stop()


def _wait_until_routed(port: int, *, within_s: float = 30.0) -> None:
    """Until Envoy has found the worker. SetupError if that takes too long."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            with urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                return
        except URLError:  # 503 until the first health check has passed
            time.sleep(0.1)
    raise SetupError(f"The router did not answer within {within_s:.0f} s.")


def _with_plain_listener(lds: str) -> str:
    """The rendered listeners on free ports, and beside the edge its twin that skips ext_proc."""
    response = json.loads(lds)
    routed = next(listener for listener in response["resources"] if listener["name"] == "routed")
    routed["address"]["socket_address"]["port_value"] = 0
    plain = json.loads(json.dumps(routed)) | {"name": "plain"}
    manager = plain["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = [f for f in manager["http_filters"] if f["name"] != "envoy.filters.http.ext_proc"]
    for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
        if route.get("route", {}).pop("cluster_header", None):
            route["route"]["cluster"] = UPSTREAM
    return json.dumps(response | {"resources": [*response["resources"], plain]})


def _provider(directory: Path) -> Envoy:
    """An Envoy that answers every request itself."""
    directory.mkdir()
    filters = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "provider",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "direct_response": {"status": 200, "body": {"inline_string": COMPLETION}},
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{filters}.http.router.v3.Router"},
            }
        ],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    listener = {
        "name": "provider",
        "address": address,
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }
    bootstrap = {"admin": {"address": address}, "static_resources": {"listeners": [listener]}}
    (directory / "bootstrap.json").write_text(json.dumps(bootstrap))
    return Envoy(directory)


if __name__ == "__main__":
    sys.exit(main())
