"""`router-service worker`: one worker process, started by the supervisor and by nobody else (`service.worker_command`).

What a process needs before anything is built: being tied to its parent, where metrics go, where the log goes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from router_service.app import run_worker
from router_service.cli.options import add_log_arguments, address
from router_service.config.load import load
from router_service.telemetry.logs import Format, Level, LogSettings
from router_service.telemetry.metrics import Metrics, share_values
from router_service.telemetry.stdout import log_to_stdout
from router_service.tether import die_with_parent


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", type=Path, metavar="CONFIG")
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--listen", type=address, required=True)
    parser.add_argument("--metrics-dir", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--colour", action="store_true")
    parser.add_argument("--reflection", action="store_true")
    add_log_arguments(parser)


def run(args: argparse.Namespace) -> int:
    die_with_parent(args.parent)
    share_values(args.metrics_dir, args.index)
    metrics = Metrics()
    settings = LogSettings(Format(args.log_format), Level(args.log_level), args.colour)
    with log_to_stdout(settings, metrics.log_lines_dropped) as log:
        loaded = load(args.config, os.environ, provider_keys=False, price_files=False)
        asyncio.run(run_worker(loaded, str(args.listen), metrics, log, reflection=args.reflection))
    return 0
