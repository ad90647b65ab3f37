"""Building the image without an engine and without a registry: Debian's buildah, chroot isolation.

The base that the Dockerfile names is put in place under that name by debootstrap: Debian's own slim images are made the
same way, from the same packages. Needs root, `buildah` and `debootstrap`; everything stays under build/image-test.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
WORK = ROOT / "build" / "image-test"
SUITE = "trixie"  # the release that the base's number stands for
IMAGE = "router-service:test"
DESCRIBED = WORK / "image.json"  # what the tests get to know of it

# The CA that signs what this machine's proxies say, if any; in the build container only.
_HOST_CA = Path("/etc/ssl/certs/ca-certificates.crt")


def missing() -> str | None:
    """Why this cannot run here; None if it can."""
    if os.geteuid() != 0:
        return "building without an engine needs root: `sudo make test-image`"
    absent = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    if absent:
        return f"{' and '.join(absent)} not found: apt install buildah debootstrap"
    return None


def buildah(*arguments: str, check: bool = True) -> str:
    """Runs buildah with storage of its own; what it printed."""
    done = subprocess.run(_command(arguments), env=_environment(), capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"buildah {' '.join(arguments)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout.strip()


def base_name() -> str:
    found = re.search(r"^FROM (\S+:\S+) AS base$", DOCKERFILE.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def provide_base() -> None:
    """An image of Debian under the name that the Dockerfile's first FROM has."""
    if buildah("images", "--quiet", base_name(), check=False):
        return
    root = WORK / "base"
    if not (root / "etc" / "debian_version").is_file():
        shutil.rmtree(root, ignore_errors=True)
        print(f"debootstrap {SUITE} (two minutes) …", flush=True)
        command = ["debootstrap", "--variant=minbase", SUITE, str(root), *_mirror()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        shutil.rmtree(root / "var" / "cache" / "apt" / "archives", ignore_errors=True)
        shutil.rmtree(root / "var" / "lib" / "apt" / "lists", ignore_errors=True)
    container = buildah("from", "scratch")
    buildah("copy", container, str(root), "/")
    buildah("commit", "--rm", container, base_name())


def build() -> None:
    """The image from the Dockerfile, as `docker build` would."""
    provide_base()
    print(f"buildah bud {DOCKERFILE.relative_to(ROOT)} …", flush=True)
    pip_conf = WORK / "pip.conf"
    pip_conf.write_text(_pip_conf())
    buildah(
        "bud",
        "--pull-never",
        "--isolation=chroot",
        "--network=host",
        "--format=docker",  # HEALTHCHECK is Docker's, not OCI's
        f"--secret=id=pip,src={pip_conf}",
        f"--volume={_HOST_CA}:/etc/ssl/host-ca.crt:ro",
        f"--file={DOCKERFILE}",
        f"--tag={IMAGE}",
        str(ROOT),
    )


def unpack() -> None:
    """The image's file system as a directory, and its configuration, for the tests: they run without a network."""
    container = buildah("from", "--pull-never", IMAGE)
    config = json.loads(buildah("inspect", "--type=image", IMAGE))["Docker"]["config"]
    described = {
        "root": buildah("mount", container),
        "config": config,
        "size": buildah("images", "--format={{.Size}}", IMAGE),
    }
    DESCRIBED.write_text(json.dumps(described))


def main() -> int:
    DESCRIBED.unlink(missing_ok=True)
    if (reason := missing()) is not None:
        print(f"test-image is skipped: {reason}")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    build()
    unpack()
    return 0


def _command(arguments: Sequence[str]) -> list[str]:
    storage = [f"--root={WORK / 'storage'}", f"--runroot={WORK / 'run'}", "--storage-driver=vfs"]
    return ["buildah", *storage, *arguments]


def _environment() -> dict[str, str]:
    # Without this the client's own proxy and index settings would reach the containers.
    return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}


def _mirror() -> list[str]:
    """The archive that this machine installs from; nothing where it does not say, and debootstrap has a default."""
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if file.is_file() and (
            found := re.search(r"^(?:URIs:|deb(?: \[.*?\])?) *(\S+)", file.read_text(), re.MULTILINE)
        ):
            return [found[1]]
    return []


def _pip_conf() -> str:
    """This machine's package index, for the build alone."""
    lines = ["[global]", f"cert = {'/etc/ssl/host-ca.crt' if _HOST_CA.is_file() else ''}"]
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    if asked.returncode == 0:
        lines.append(f"index-url = {asked.stdout.strip()}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
