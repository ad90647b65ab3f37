"""`router-service plan`: how many replicas a load needs."""

from __future__ import annotations

import argparse

from router_service.capacity.measured import load_constants
from router_service.capacity.model import (
    ENVOY_CORES_PER_POD,
    ROUTER_CORES_PER_POD,
    Constants,
    Load,
    Plan,
    Policy,
    plan,
)
from router_service.config.units import parse_duration_s


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rps", type=_positive, required=True, metavar="N", help="requests a second, at the peak")
    parser.add_argument(
        "--preference-share",
        type=_share,
        default=1.0,
        metavar="SHARE",
        help="of the requests, those that name no model: 0 to 1 (default: 1)",
    )
    parser.add_argument(
        "--response-time", type=_duration, default=10.0, metavar="TIME", help="how long a response takes (default: 10s)"
    )
    parser.add_argument(
        "--vllm-per-replica",
        type=_positive,
        metavar="N",
        help="classifications a second of one vLLM replica on your GPU; without it the embedded classifier does them",
    )
    parser.add_argument(
        "--utilisation", type=_share, default=0.6, metavar="SHARE", help="how full a replica may be (default: 0.6)"
    )
    parser.add_argument(
        "--zones", type=_count, default=3, metavar="N", help="zones, one of which may be lost (default: 3)"
    )


def run(args: argparse.Namespace) -> int:
    load = Load(args.rps, args.preference_share, args.response_time, args.vllm_per_replica)
    policy = Policy(args.utilisation or 0.01, args.zones)
    constants = load_constants()
    print(report(load, policy, constants, plan(load, policy, constants)))
    return 0


def report(load: Load, policy: Policy, constants: Constants, needed: Plan) -> str:
    classified = load.rps * load.preference_share
    rows = [
        ("requests a second", f"{load.rps:,.0f}", f"{classified:,.0f} of them classified"),
        ("streams open at once", f"{needed.streams:,}", f"{load.response_s:g} s a response"),
        ("Envoy, busy cores", f"{needed.envoy_cores:,.1f}", f"{constants.envoy_cpu_ms:g} ms a request"),
        ("router, busy cores", f"{needed.router_cores:,.1f}", _router_cost(load, constants)),
        (
            "pods (Envoy + router)",
            f"{needed.pods:,}",
            f"Envoy's CPU asks for {needed.pods_for_envoy:,}, the router's for {needed.pods_for_router:,}, "
            f"memory for {needed.pods_for_memory:,}",
        ),
    ]
    if load.vllm_per_replica is not None:
        rows.append(
            ("vLLM replicas", f"{needed.vllm_replicas:,}", f"{load.vllm_per_replica:,g} classifications a second each")
        )
    width = max(len(value) for _, value, _ in rows)
    lines = [f"{label:<22} {value:>{width}}   {why}" for label, value, why in rows]
    loss = f"with one of {policy.zones} zones lost" if policy.zones > 1 else "with every replica up"
    return "\n".join(
        [
            *lines,
            "",
            f"A pod has {ENVOY_CORES_PER_POD} cores for Envoy and {ROUTER_CORES_PER_POD} for the router, "
            f"{policy.utilisation:.0%} busy {loss}.",
            f"Measured on {constants.machine}, by: {constants.command}",
        ]
    )


def _router_cost(load: Load, constants: Constants) -> str:
    each = f"{constants.router_cpu_ms:g} ms a request"
    if load.vllm_per_replica is not None:
        return f"{each}; vLLM classifies"
    return f"{each}, {constants.embedded_cpu_ms:g} ms more where the embedded model classifies"


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e12:
        raise argparse.ArgumentTypeError("write a number above 0")
    return number


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError("write a share from 0 to 1")
    return number


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError("write a number from 1 to 100")
    return int(text)


def _duration(text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
