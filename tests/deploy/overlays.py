"""Kustomize overlays as a cluster would get them: built by kubectl, from a copy with the user's own files in place."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"

Resource = Mapping[str, object]


def require(tool: str, get_it: str) -> str:
    """The path of a tool of the system; without it the test is skipped, and in CI it fails."""
    path = shutil.which(tool)
    if path is None:
        message = f"{tool} is not on PATH; {get_it}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


def names() -> list[str]:
    return sorted(path.parent.name for path in (KUBERNETES / "overlays").glob("*/kustomization.yaml"))


@cache
def build(overlay: str) -> tuple[Resource, ...]:
    """The resources of `overlays/<overlay>`, every `*.example` in use as it is."""
    with TemporaryDirectory() as directory:
        copy(Path(directory) / "kubernetes")
        return build_directory(Path(directory) / "kubernetes" / "overlays" / overlay)


def copy(directory: Path) -> None:
    """deploy/kubernetes with every `*.example` in use as it is."""
    shutil.copytree(KUBERNETES, directory, ignore=shutil.ignore_patterns("keys.env", "model.env"))
    for example in directory.rglob("*.example"):
        shutil.copy(example, example.with_suffix(""))


def build_directory(directory: Path) -> tuple[Resource, ...]:
    kubectl = require("kubectl", "1.27 or newer brings kustomize 5: https://kubernetes.io/docs/tasks/tools/")
    built = subprocess.run([kubectl, "kustomize", str(directory)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert not built.stderr, built.stderr  # deprecated fields and the like
    return tuple(yaml.safe_load_all(built.stdout))


def main(directory: Path) -> None:
    """Every built overlay as a file, for checkers that read files."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for overlay in names():
        (directory / f"{overlay}.yaml").write_text(yaml.safe_dump_all(build(overlay)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
