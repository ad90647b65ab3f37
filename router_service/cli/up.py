"""`router-service up`: everything on this machine, for trying it and for developing against it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from router_service import __version__
from router_service.cli.options import port, tcp_address, wants_colour
from router_service.config.load import load
from router_service.config.service import TcpAddress, parse_address
from router_service.errors import format_problem
from router_service.telemetry.logs import Format, Level, LogSettings
from router_service.up.ports import free_ports
from router_service.up.run import Failed, UpPlan
from router_service.up.run import run as run_up


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG", help="the configuration file")
    parser.add_argument(
        "--port",
        type=port,
        help="where clients connect (default: the file's listener); 0 chooses free ports for everything",
    )
    parser.add_argument(
        "--admin", type=tcp_address, metavar="ADDR", help="metrics and health: host:port (default: service.admin)"
    )
    parser.add_argument("--envoy-admin-port", type=port, metavar="PORT", help="Envoy's admin (default: 9901)")
    parser.add_argument("--log-level", choices=[*Level], default=Level.INFO, help="info has one line a request")


def run(args: argparse.Namespace) -> int:
    loaded = load(args.config, os.environ)
    print(f"router-service {__version__} · {args.config}", flush=True)
    for problem in load(
        args.config, os.environ, provider_keys=False
    ).warnings:  # missing keys are told by what is done about them
        print(format_problem(str(args.config), problem), file=sys.stderr)
    free = iter(free_ports(3)) if args.port == 0 else iter(())
    admin = parse_address(loaded.config.service.admin)
    assert isinstance(admin, TcpAddress)
    plan = UpPlan(
        loaded=loaded,
        port=next(free, args.port or loaded.config.listeners[0].port),
        admin=args.admin or TcpAddress(admin.host, next(free, admin.port)),
        envoy_admin=TcpAddress("127.0.0.1", args.envoy_admin_port or next(free, 9901)),
        logs=LogSettings(Format.CONSOLE, Level(args.log_level), wants_colour()),
    )
    try:
        run_up(plan, lambda text: print(text, flush=True))
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0
