"""The log of a process: standard output, through a thread, with what libraries say in it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from router_service.telemetry.line_writer import LineWriter
from router_service.telemetry.logs import Log, LogSettings, StandardLibrary, build_log


@contextmanager
def log_to_stdout(settings: LogSettings, dropped: Callable[[int], None] = lambda _: None) -> Iterator[Log]:
    """A log inside the block; at its end every line is written. `dropped` is told of lines nobody read fast enough."""
    writer = LineWriter(sys.stdout.fileno(), dropped=dropped)
    log = build_log(settings, writer.write)
    logging.basicConfig(handlers=[StandardLibrary(log)], level=max(settings.level.number, logging.WARNING), force=True)
    try:
        yield log
    finally:
        writer.close()
