"""What several benchmarks start or wait for."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from router_service.config.load import loads
from router_service.config.service import UnixAddress
from router_service.errors import SetupError
from router_service.up.ports import free_ports
from tests.support.envoy import Envoy, write_rendered
from tests.support.processes import Child

COMPLETION = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "echo",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Rayleigh."}, "finish_reason": "stop"}],
    }
)


@contextmanager
def running_router(
    text: str, scratch: Path, *, edit: Callable[[dict[str, str]], None] = lambda _: None
) -> Iterator[Envoy]:
    """A worker and an Envoy, as this configuration says and on free ports, without an access log.

    `edit` may change Envoy's files before they are written.
    """
    file, socket, directory = scratch / "config.yaml", scratch / "router.sock", scratch / "envoy"
    file.write_text(text)
    command = Path(sys.executable).with_name("router-service")
    (admin,) = free_ports(1)
    listen = ["--listen", f"unix:{socket}", "--admin", f"127.0.0.1:{admin}"]
    worker = Child([command, "serve", file, "--log-level", "warning", *listen])
    try:
        directory.mkdir()
        service = [UnixAddress(str(socket))]
        write_rendered(loads(text, {}).config, directory, service, access_log="/dev/null", edit=edit)
        envoy = Envoy(directory)
        try:
            envoy.wait_until_ready()
            yield envoy
        finally:
            envoy.stop()
    finally:
        worker.stop()


def wait_until_routed(port: int, *, within_s: float = 30.0) -> None:
    """Until Envoy has found the worker. SetupError if that takes too long."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            with urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                return
        except URLError:  # 503 until the first health check has passed
            time.sleep(0.1)
    raise SetupError(f"The router did not answer within {within_s:.0f} s.")


def answering_envoy(directory: Path, port: int = 0) -> Envoy:
    """A provider that costs nothing: an Envoy that answers every request itself, on a port of the kernel's choice."""
    directory.mkdir(exist_ok=True)
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
    listener = {
        "name": "provider",
        "address": _loopback(port),
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }
    bootstrap = {"admin": {"address": _loopback(0)}, "static_resources": {"listeners": [listener]}}
    (directory / "bootstrap.json").write_text(json.dumps(bootstrap))
    return Envoy(directory)


def _loopback(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
