"""From a load to replicas. Pure: the constants are an argument, and nothing is measured here.

Every request costs Envoy and the router some CPU; every request that nobody named a model for costs the classification
besides; every stream that is open costs Envoy memory. Replicas are the larger of what CPU and memory ask for, filled to
`utilisation`, and enough that one zone of `zones` may be lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# What one pod of deploy/kubernetes/overlays/standalone has; a test holds these against the manifest.
ENVOY_CORES_PER_POD = 2
ROUTER_CORES_PER_POD = 1  # one worker
ENVOY_MEMORY_PER_POD_BYTES = 1024**3

_MEMORY_FILL = 0.7  # of the limit; the rest is for bodies being buffered


@dataclass(frozen=True, slots=True)
class Constants:
    """CPU in core milliseconds. `machine` and `command` say where they come from."""

    envoy_cpu_ms: float  # a request through edge, model listener and provider
    router_cpu_ms: float  # a decision without classification
    embedded_cpu_ms: float  # one classification by the embedded model, of a question of some 20 words
    envoy_idle_bytes: int
    envoy_stream_bytes: int  # one open stream, client's and provider's connection included
    machine: str
    command: str


@dataclass(frozen=True, slots=True)
class Load:
    """`preference_share` of the requests name no model. `response_s` is how long a response takes, streaming included.

    `vllm_per_replica` is how many classifications a second one replica of vLLM does on the GPU in question; None: the
    embedded classifier does them.
    """

    rps: float
    preference_share: float
    response_s: float
    vllm_per_replica: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    utilisation: float = 0.6
    zones: int = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """`pods` are those of the standalone overlay (Envoy with the router); the other figures say why so many."""

    streams: int
    envoy_cores: float
    router_cores: float
    pods_for_envoy: int
    pods_for_router: int
    pods_for_memory: int
    pods: int
    vllm_replicas: int


def plan(load: Load, policy: Policy, constants: Constants) -> Plan:
    classified = load.rps * load.preference_share
    embedded = 0.0 if load.vllm_per_replica is not None else classified * constants.embedded_cpu_ms
    envoy_cores = load.rps * constants.envoy_cpu_ms / 1000
    router_cores = (load.rps * constants.router_cpu_ms + embedded) / 1000
    streams = math.ceil(load.rps * load.response_s)
    for_envoy = _replicas(envoy_cores / ENVOY_CORES_PER_POD / policy.utilisation, policy.zones)
    for_router = _replicas(router_cores / ROUTER_CORES_PER_POD / policy.utilisation, policy.zones)
    for_memory = _replicas(streams / streams_per_pod(constants), policy.zones)
    vllm = 0
    if load.vllm_per_replica is not None:
        vllm = _replicas(classified / load.vllm_per_replica / policy.utilisation, policy.zones)
    return Plan(
        streams=streams,
        envoy_cores=envoy_cores,
        router_cores=router_cores,
        pods_for_envoy=for_envoy,
        pods_for_router=for_router,
        pods_for_memory=for_memory,
        pods=max(for_envoy, for_router, for_memory),
        vllm_replicas=vllm,
    )


def streams_per_pod(constants: Constants) -> float:
    """How many streams Envoy's memory holds."""
    room = ENVOY_MEMORY_PER_POD_BYTES * _MEMORY_FILL - constants.envoy_idle_bytes
    return room / max(1, constants.envoy_stream_bytes)


def _replicas(needed: float, zones: int) -> int:
    """So many that what is needed is left when one zone is lost; never fewer than two, one of which can be replaced."""
    if needed <= 0:
        return 0
    spread = needed if zones < 2 else needed * zones / (zones - 1)
    return max(2, math.ceil(round(spread, 9)))
