"""Benchmarks run briefly, so that they never rot. What they measure is not asserted."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.e2e.commands import ROOT


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: apt-get install wrk")
def test_bench_smoke_serves_every_request_with_and_without_the_filter() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.smoke", "--seconds", "1", "--rounds", "1", "--connections", "4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "with/without" in done.stdout
