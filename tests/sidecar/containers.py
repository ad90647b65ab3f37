"""Containers as processes of this machine, for tests that start what a manifest says without an engine.

Needs root and network namespaces (`make test-sidecar` makes one and runs the tests in it, so that the manifest's ports
are free and nothing else on the machine is reachable).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from router_service.dataplane.binary import find_envoy

ROOT = Path(__file__).parents[2]
ENTER = Path(__file__).with_name("enter.py")


@dataclass(frozen=True, slots=True)
class Image:
    """What stands in for an image: a root file system, its entry point and its environment.

    `paths` are directories of this machine that the entry point needs, wherever they lie.
    """

    root: Path
    entrypoint: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()


def images_of_this_machine() -> dict[str, Image]:
    """The installed package, and the Envoy of the tests, over this machine's own file system."""
    command = Path(sys.executable).with_name("router-service")
    path = {"PATH": f"{command.parent}:/usr/bin:/bin"}
    paths = tuple(dict.fromkeys((str(ROOT), sys.prefix, sys.base_prefix)))
    return {
        "router-service": Image(Path("/"), (str(command),), path, paths),
        "envoyproxy/envoy": Image(Path("/"), (str(find_envoy()),), path, paths),
    }


@dataclass(frozen=True, slots=True)
class Volume:
    source: str
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    image: Image
    args: tuple[str, ...]
    env: Mapping[str, str]
    volumes: tuple[Volume, ...]
    uid: int
    gid: int
    read_only_root: bool
    hosts: str = ""

    def start(self, directory: Path, command: Sequence[str] | None = None) -> Process:
        """The container's own command, or another one as `exec` would."""
        name = self.name if command is None else f"{self.name}-exec"
        scratch = directory / f"{name}-root"
        scratch.mkdir(exist_ok=True)
        spec = {
            "scratch": str(scratch),
            "root": str(self.image.root),
            "paths": self.image.paths,
            "volumes": [asdict(volume) for volume in self.volumes],
            "read_only_root": self.read_only_root,
            "hosts": self.hosts,
            "uid": self.uid,
            "gid": self.gid,
            "env": {**self.image.env, **self.env},
            "command": list(command) if command else [*self.image.entrypoint, *self.args],
        }
        log = directory / f"{name}.log"
        with log.open("wb") as output:
            started = subprocess.Popen(
                [sys.executable, "-I", str(ENTER), json.dumps(spec)],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
            )
        return Process(name, started, log)


@dataclass(frozen=True, slots=True)
class Process:
    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def finish(self, timeout_s: float) -> int:
        """Its exit status, once it has ended by itself."""
        return self.popen.wait(timeout_s)

    def stop(self, timeout_s: float) -> int:
        """SIGTERM, as the kubelet and Docker send it."""
        self.popen.terminate()
        return self.popen.wait(timeout_s)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def told(self) -> str:
        return f"{self.name}:\n{self.log.read_text()[-4000:]}"


def wait_until(holds: Callable[[], bool], process: Process, *, period_s: float, tries: int) -> None:
    """A startup probe or a health check: asked every `period_s`, given up after so many tries."""
    for _ in range(tries):
        if holds():
            return
        assert process.popen.poll() is None, f"ended with {process.popen.returncode}; {process.told()}"
        time.sleep(period_s)  # a probe's period, from the manifest
    raise AssertionError(f"not ready after {tries} tries; {process.told()}")


def answers(url: str) -> bool:
    """HTTP 200 to 399, as a probe wants it."""
    try:
        with urlopen(url, timeout=2) as response:  # noqa: S310 - always http
            return int(response.status) < 400
    except (HTTPError, URLError, OSError):
        return False


def cannot_run() -> str | None:
    """Why containers cannot be started here; None if they can."""
    if shutil.which("mount") is None or not Path("/proc/self/ns/net").exists():
        return "this needs Linux"
    return None
