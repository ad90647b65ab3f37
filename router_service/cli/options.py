"""Options that several subcommands have, with the same words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from router_service.config.service import Address, TcpAddress, parse_address
from router_service.telemetry.logs import Format, Level, LogSettings


def address(text: str) -> Address:
    """`host:port`, `[ipv6]:port` or `unix:PATH` as an option's value."""
    return _parsed(parse_address, text)


def tcp_address(text: str) -> TcpAddress:
    """`host:port` or `[ipv6]:port` as an option's value."""
    parsed = _parsed(parse_address, text)
    if not isinstance(parsed, TcpAddress):
        raise argparse.ArgumentTypeError(f"'{text}' is a socket; write host:port")
    return parsed


def port(text: str) -> int:
    """A port, or 0 for a free one."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError("write a port, from 1 to 65535, or 0 for a free one")
    return int(text)


def worker_count(text: str) -> int:
    """The bounds of `service.workers`."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError("write a number from 1 to 256")
    return int(text)


def _parsed(parse: Callable[[str], Address], text: str) -> Address:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_log_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log-format",
        choices=["auto", *Format],
        default="auto",
        help="json, console (columns for a person), or console only in a terminal (default: auto)",
    )
    parser.add_argument(
        "--log-level",
        choices=[*Level],
        default=Level.INFO,
        help="what is written: info has one line a request (default: info)",
    )


def log_settings(args: argparse.Namespace) -> LogSettings:
    """What `add_log_arguments` was given, with `auto` decided by what standard output is."""
    is_terminal = sys.stdout.isatty()
    chosen = args.log_format
    if chosen == "auto":
        chosen = Format.CONSOLE if is_terminal else Format.JSON
    return LogSettings(Format(chosen), Level(args.log_level), wants_colour())


def wants_colour() -> bool:
    """Only in a terminal that has colours, and not where the user asked for none (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
