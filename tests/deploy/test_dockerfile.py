"""The Dockerfile is clean to hadolint, and keeps what its comments promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.deploy.overlays import ROOT

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
TEXT = DOCKERFILE.read_text()


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert found.stdout + found.stderr == ""


def test_every_base_is_pinned_to_a_version() -> None:
    outside = [base for base in re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE) if base != "base"]
    assert outside
    assert all(re.fullmatch(r"[a-z/]+:\d+\.\d+[\w.-]*", base) for base in outside)


def test_the_label_names_the_base() -> None:
    (base,) = re.findall(r"^FROM (\S+:\S+)", TEXT, re.MULTILINE)
    assert f'base.name="docker.io/library/{base}"' in TEXT


def test_it_runs_as_a_user_without_rights() -> None:
    assert re.findall(r"^USER (\S+)", TEXT, re.MULTILINE) == ["65532:65532"]


def test_every_package_is_locked_by_hash_and_none_is_compiled() -> None:
    installs = re.findall(r"pip(?: --python \S+)? install (.*?)(?: && |\n(?!\s))", TEXT.replace("\\\n", " "), re.DOTALL)
    from_an_index = [options for options in installs if "--no-index" not in options]
    assert len(from_an_index) == 2
    assert all("--require-hashes" in options and "--only-binary :all:" in options for options in from_an_index)


def test_the_version_is_the_packages() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert f"ARG VERSION={version[1]}\n" in TEXT
