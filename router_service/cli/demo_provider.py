"""`router-service demo-provider`: one demo provider in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import os

from router_service.demo.server import demo_provider
from router_service.errors import SetupError
from router_service.waiting import stop_signal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="demo", help="what it calls itself in every answer (default: demo)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")


def run(args: argparse.Namespace) -> int:
    asyncio.run(_serve(args.name, args.host, args.port))
    return 0


async def _serve(name: str, host: str, port: int) -> None:
    stop = stop_signal()
    try:
        async with demo_provider(name, host, port) as bound:
            print(f'demo provider "{name}" listens on http://{host}:{bound}', flush=True)
            await stop
    except OSError as error:
        raise SetupError(
            f"Cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}); choose another --port."
        ) from error
