"""What `router-service plan` prints, whole; the constants stand in for measured ones."""

from __future__ import annotations

import pytest

from router_service.capacity.model import Constants, Load, Policy, plan
from router_service.cli import main
from router_service.cli.plan import report

CONSTANTS = Constants(
    envoy_cpu_ms=0.5,
    router_cpu_ms=0.8,
    embedded_cpu_ms=9.2,
    envoy_idle_bytes=70_000_000,
    envoy_stream_bytes=120_000,
    machine="a machine",
    command="a command",
)


def printed(load: Load) -> str:
    return report(load, Policy(), CONSTANTS, plan(load, Policy(), CONSTANTS))


def test_with_the_embedded_classifier() -> None:
    assert (
        printed(Load(rps=2000, preference_share=0.4, response_s=10))
        == """\
requests a second       2,000   800 of them classified
streams open at once   20,000   10 s a response
Envoy, busy cores         1.0   0.5 ms a request
router, busy cores        9.0   0.8 ms a request, 9.2 ms more where the embedded model classifies
pods (Envoy + router)      23   Envoy's CPU asks for 2, the router's for 23, memory for 6

A pod has 2 cores for Envoy and 1 for the router, 60% busy with one of 3 zones lost.
Measured on a machine, by: a command"""
    )


def test_with_vllm() -> None:
    lines = printed(Load(rps=1_000_000, preference_share=0.4, response_s=10, vllm_per_replica=400)).splitlines()
    assert lines[4].startswith("pods (Envoy + router) ")
    assert lines[5] == "vLLM replicas               2,500   400 classifications a second each"


def test_it_runs_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--rps", "500", "--response-time", "30s"]) == 0
    assert "15,000" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--rps", "0"], ["--rps", "many"], ["--rps", "1", "--preference-share", "40"]])
def test_what_is_no_load_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["plan", *arguments])
    assert refused.value.code == 2
    assert "write a" in capsys.readouterr().err
