"""A real Envoy for tests: started from a rendered directory on ports of the kernel's choice, stopped with the test."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from router_service.config.models import Config
from router_service.config.service import Address, TcpAddress
from router_service.dataplane.binary import find_envoy
from router_service.dataplane.deployment import Deployment
from router_service.dataplane.files import write
from router_service.dataplane.render import render
from tests.support.processes import Child, Lines

READY = "all dependencies initialized. starting workers"
ARGUMENTS = (
    "--use-dynamic-base-id",  # several Envoys on one machine
    "--concurrency",
    "1",
    "--file-flush-interval-msec",
    "10",  # access log lines at once
    "--log-format",
    "%v",
)


class Envoy:
    """`async with Envoy(directory) as envoy`, or `envoy = Envoy(directory); …; envoy.stop()` from synchronous code.

    Listeners and the admin may have port 0: `port(listener)` and `admin` say what they got.
    """

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        admin_file = directory / "admin-address"
        self._child = Child(
            [
                find_envoy(),
                "--config-path",
                directory / "bootstrap.json",
                "--admin-address-path",
                admin_file,
                *ARGUMENTS,
                *arguments,
            ]
        )
        self._admin_file = admin_file

    @property
    def log(self) -> Lines:
        return self._child.stderr

    @property
    def access_log(self) -> Lines:
        return self._child.stdout

    @property
    def pid(self) -> int:
        return self._child.process.pid

    @property
    def admin(self) -> str:
        return f"http://{self._admin_file.read_text()}"

    def wait_until_ready(self) -> None:
        self.log.wait_for(lambda line: READY in line)

    def get(self, path: str) -> str:
        """An answer of the admin interface."""
        with urlopen(self.admin + path, timeout=10) as response:  # noqa: S310 - always http
            return str(response.read().decode())

    def port(self, listener: str) -> int:
        listeners = json.loads(self.get("/listeners?format=json"))["listener_statuses"]
        found = next(status for status in listeners if status["name"] == listener)
        return int(found["local_address"]["socket_address"]["port_value"])

    def stat(self, name: str) -> int:
        """A counter or gauge; 0 while it does not exist."""
        lines = self.get(f"/stats?filter=^{name}$".replace("[", "%5B").replace("]", "%5D")).splitlines()
        return int(lines[0].rpartition(": ")[2]) if lines else 0

    @property
    def inotify_instances(self) -> int:
        """How many it has open now."""
        descriptors = Path(f"/proc/{self.pid}/fd").iterdir()
        return sum("inotify" in str(descriptor.readlink()) for descriptor in descriptors)

    def stop(self) -> int:
        return self._child.stop()

    def kill(self) -> None:
        """At once, as a crash would end it."""
        self._child.process.kill()
        self._child.stop()

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.wait_until_ready)  # the test's own servers answer health checks meanwhile
        except BaseException:
            self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def validate(directory: Path) -> str:
    """What `envoy --mode validate` objects to in a rendered directory; empty when nothing.

    In this mode Envoy never reads what a bootstrap refers to, so the resources are put into the bootstrap itself.
    """
    bootstrap = json.loads((directory / "bootstrap.json").read_text())
    del bootstrap["dynamic_resources"]
    bootstrap["static_resources"] = {"listeners": resources(directory, "lds"), "clusters": resources(directory, "cds")}
    static = directory / "static.json"
    static.write_text(json.dumps(bootstrap))
    done = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", static, "--use-dynamic-base-id"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr


def resources(directory: Path, name: str) -> list[dict[str, object]]:
    """The resources of `lds` or `cds`, as a bootstrap would hold them."""
    found = json.loads((directory / f"{name}.json").read_text())["resources"]
    return [{key: value for key, value in resource.items() if key != "@type"} for resource in found]


def never_left_alone(files: dict[str, str]) -> None:
    """An `edit` for `write_rendered`: no model leaves its pools, so one test's failures are nothing to the next."""
    discovery = json.loads(files["cds.json"])
    for cluster in discovery["resources"]:
        if cluster["name"].startswith("member/"):
            del cluster["outlier_detection"]
    files["cds.json"] = json.dumps(discovery)


def write_rendered(
    config: Config,
    directory: Path,
    service: Sequence[Address],
    *,
    ca_file: str = "",
    missing: Collection[str] = (),
    status_admin_port: int | None = None,
    access_log: str | None = None,
    edit: Callable[[dict[str, str]], None] = lambda _: None,
) -> None:
    """Render for a test: every port of Envoy's the kernel's choice, the workers at these addresses.

    `edit` may change the files before they are written. The status listener passes on the admin at `status_admin_port`;
    without that there is none. `access_log` is a file, in place of Envoy's standard output.
    """
    config = config.model_copy(
        update={"listeners": [listener.model_copy(update={"port": 0}) for listener in config.listeners]}
    )
    deployment = Deployment(
        directory=str(directory),
        service=tuple(service),
        ca_file=ca_file,
        admin_port=status_admin_port or 0,
        access_log=access_log,
        status=TcpAddress("127.0.0.1", 0) if status_admin_port else None,
    )
    files = render(config, deployment, missing)
    edit(files)
    write(files, directory)
