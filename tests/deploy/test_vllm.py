"""`make vllm`: what it starts, and what it says where it cannot; with stand-ins for the GPU's and vLLM's commands."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SERVE = Path(__file__).parents[2] / "deploy" / "vllm" / "serve"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A directory of commands that stands for a machine with a GPU and vLLM."""
    commands = {"nvidia-smi": "echo 'GPU 0: L4'", "vllm": 'echo "$@"'}
    for name, script in commands.items():
        command = tmp_path / name
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
    return tmp_path


def serve(machine: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    path = f"{machine}:/usr/bin:/bin"
    return subprocess.run(
        [SERVE, *arguments],
        env={"PATH": path, **environ},
        cwd=machine,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_serves_arch_router_as_the_router_asks_for_it(machine: Path) -> None:
    served = serve(machine, "--dtype", "bfloat16", LICENCE="accepted")
    assert served.returncode == 0
    assert served.stdout.strip() == (
        "serve katanemo/Arch-Router-1.5B --served-model-name Arch-Router --enable-prefix-caching --max-model-len 16384 "
        "--gpu-memory-utilization 0.3 --host 127.0.0.1 --port 8000 --dtype bfloat16"
    )


def test_it_tells_about_the_licence_before_anything_is_downloaded(machine: Path) -> None:
    asked = serve(machine)
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "katanemo-research" in asked.stderr
    assert "LICENCE=accepted" in asked.stderr


def test_weights_of_your_own_need_no_question(machine: Path) -> None:
    (machine / "weights").mkdir()
    served = serve(machine, MODEL="weights", PORT="8001")
    assert served.stdout.startswith("serve weights --served-model-name Arch-Router")
    assert "--port 8001" in served.stdout


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        pytest.param("nvidia-smi", "No GPU found", id="no GPU"),
        pytest.param("vllm", "There is no vllm command", id="no vLLM"),
    ],
)
def test_it_says_what_is_missing(machine: Path, lacking: str, said: str) -> None:
    (machine / lacking).unlink()
    refused = serve(machine, LICENCE="accepted")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(said)


def test_it_can_be_run(machine: Path) -> None:
    assert os.access(SERVE, os.X_OK)
