"""`router-service serve`: the service that Envoy calls, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from router_service.cli.options import add_log_arguments, address, log_settings, tcp_address, worker_count
from router_service.config.load import Loaded, load
from router_service.config.models import Service as ServiceSection
from router_service.config.service import TcpAddress, parse_address, service_addresses
from router_service.errors import SetupError, format_problem
from router_service.service import ServicePlan, start_service
from router_service.telemetry.logs import Log
from router_service.telemetry.stdout import log_to_stdout
from router_service.waiting import first_done, stop_signal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the configuration file")
    parser.add_argument("--workers", type=worker_count, metavar="N", help="worker processes (default: service.workers)")
    parser.add_argument(
        "--listen",
        type=address,
        metavar="ADDR",
        help="where Envoy reaches worker 0: host:port or unix:PATH (default: service.listen)",
    )
    parser.add_argument(
        "--admin", type=tcp_address, metavar="ADDR", help="metrics and health: host:port (default: service.admin)"
    )
    parser.add_argument("--reflection", action="store_true", help="serve gRPC reflection, for grpcurl")
    add_log_arguments(parser)


def run(args: argparse.Namespace) -> int:
    loaded = load(args.config, os.environ, provider_keys=False)
    plan = _plan(args, loaded)
    with log_to_stdout(plan.logs) as log:
        for problem in loaded.warnings:
            log.warning("config_warning", problem=format_problem(str(args.config), problem))
        return asyncio.run(_serve(plan, log))


def _plan(args: argparse.Namespace, loaded: Loaded) -> ServicePlan:
    given: Mapping[str, object] = {
        "workers": args.workers,
        "listen": str(args.listen) if args.listen else None,
        "admin": str(args.admin) if args.admin else None,
    }
    service = ServiceSection.model_validate(
        loaded.config.service.model_dump() | {name: value for name, value in given.items() if value is not None}
    )
    try:
        addresses = service_addresses(service)
    except ValueError as error:
        raise SetupError(f"{service.workers} workers do not fit: {error}.") from error
    admin = parse_address(service.admin)
    assert isinstance(admin, TcpAddress)
    return ServicePlan(
        config=args.config,
        addresses=addresses,
        admin=admin,
        drain_s=service.drain_delay + service.drain_timeout,
        logs=log_settings(args),
        reflection=args.reflection,
    )


async def _serve(plan: ServicePlan, log: Log) -> int:
    stop = stop_signal()
    async with start_service(plan, log) as service:
        log.info("started", pid=os.getpid(), workers=len(plan.addresses), admin=str(service.admin))
        ready = asyncio.create_task(service.ready())
        ready.add_done_callback(lambda task: None if task.cancelled() else log.info("ready"))
        await first_done(stop, service.failure)
        ready.cancel()
        if stop.done():
            log.info("stopping", signal=stop.result().name)
    return service.failure.result() if service.failure.done() else 0
