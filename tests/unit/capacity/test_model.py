"""Replicas from a load: what each constant does, and what holds for every load."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.capacity.measured import load_constants
from router_service.capacity.model import (
    ENVOY_CORES_PER_POD,
    ENVOY_MEMORY_PER_POD_BYTES,
    ROUTER_CORES_PER_POD,
    Constants,
    Load,
    Policy,
    plan,
)

CONSTANTS = Constants(
    envoy_cpu_ms=0.5,
    router_cpu_ms=0.5,
    embedded_cpu_ms=9.5,
    envoy_idle_bytes=0,
    envoy_stream_bytes=100_000,
    machine="a machine",
    command="a command",
)
FULL = Policy(utilisation=1.0, zones=1)


def test_cpu_of_envoy_and_of_the_router_is_counted_for_every_request() -> None:
    needed = plan(Load(rps=8000, preference_share=0, response_s=0), FULL, CONSTANTS)
    assert (needed.envoy_cores, needed.router_cores) == (4.0, 4.0)
    assert (needed.pods_for_envoy, needed.pods_for_router) == (4 // ENVOY_CORES_PER_POD, 4 // ROUTER_CORES_PER_POD)
    assert needed.pods == 4


def test_the_embedded_model_is_paid_for_what_names_no_model() -> None:
    needed = plan(Load(rps=1000, preference_share=0.5, response_s=0), FULL, CONSTANTS)
    assert needed.router_cores == pytest.approx(0.5 + 500 * 0.0095)


def test_vllm_takes_the_classifications_off_the_routers() -> None:
    needed = plan(Load(rps=1000, preference_share=0.5, response_s=0, vllm_per_replica=100), FULL, CONSTANTS)
    assert (needed.router_cores, needed.vllm_replicas) == (0.5, 5)


def test_open_streams_ask_for_memory() -> None:
    needed = plan(Load(rps=1000, preference_share=0, response_s=60), FULL, CONSTANTS)
    assert needed.streams == 60_000
    assert needed.pods_for_memory == needed.pods == -(-60_000 * 100_000 // int(ENVOY_MEMORY_PER_POD_BYTES * 0.7))


def test_a_zone_less_leaves_what_is_needed() -> None:
    load = Load(rps=8000, preference_share=0, response_s=0)
    assert plan(load, Policy(utilisation=1.0, zones=3), CONSTANTS).pods == 6  # of which 4 are left
    assert plan(load, Policy(utilisation=0.5, zones=1), CONSTANTS).pods == 8


def test_two_pods_are_the_least() -> None:
    assert plan(Load(rps=1, preference_share=0, response_s=1), Policy(), CONSTANTS).pods == 2


LOADS = st.builds(
    Load,
    rps=st.floats(0.1, 1e7),
    preference_share=st.floats(0, 1),
    response_s=st.floats(0, 600),
    vllm_per_replica=st.none() | st.floats(1, 1e4),
)


@given(LOADS, st.floats(1, 10))
def test_more_load_never_needs_less(load: Load, factor: float) -> None:
    less, more = plan(load, Policy(), CONSTANTS), plan(replace(load, rps=load.rps * factor), Policy(), CONSTANTS)
    assert more.pods >= less.pods >= 2
    assert more.vllm_replicas >= less.vllm_replicas


def test_the_shipped_constants_are_measured() -> None:
    constants = load_constants()
    assert constants.command == "python -m benchmarks.capacity --write"
    assert min(constants.envoy_cpu_ms, constants.router_cpu_ms, constants.embedded_cpu_ms) > 0
    assert min(constants.envoy_idle_bytes, constants.envoy_stream_bytes) > 0
