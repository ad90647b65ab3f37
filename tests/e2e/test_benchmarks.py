"""Benchmarks run briefly, so that they never rot. What they measure is not asserted."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.e2e.commands import ROOT


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: apt-get install wrk")
def test_bench_smoke_serves_every_request_with_and_without_the_filter() -> None:
    assert "with/without" in run("smoke", "--seconds", "1", "--rounds", "1", "--connections", "4")


def test_bench_failover_shows_no_client_a_killed_provider() -> None:
    printed = run("failover", "--requests", "1000", "--concurrency", "16", "--rounds", "5")
    assert "status      200                         1000" in printed


def test_bench_render_starts_envoy_on_what_it_rendered() -> None:
    printed = run("render", "--providers", "2", "--models", "3", "--preferences", "1", "--rounds", "1")
    assert "Envoy ready" in printed


def run(benchmark: str, *arguments: str) -> str:
    """What it prints; it exits with 1 where a request failed."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{benchmark}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
