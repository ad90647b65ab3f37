"""How a log line is built: JSON for machines, `console` for a person.

Owns format and levels; the lines of requests are `recorder`'s, and docs/operations.md has the table of all events and
their fields (a test compares it with the code). Nothing in here knows where the lines go: `line_writer` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
from structlog import make_filtering_bound_logger, wrap_logger
from structlog.processors import format_exc_info
from structlog.typing import FilteringBoundLogger

from router_service.telemetry.console import console_line, painter

Log = FilteringBoundLogger


class Format(StrEnum):
    JSON = "json"
    CONSOLE = "console"


class Level(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        return logging.getLevelNamesMapping()[self.name]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How lines look and which are written. `colour` only matters to the console."""

    format: Format = Format.JSON
    level: Level = Level.INFO
    colour: bool = False


def build_log(
    settings: LogSettings, write: Callable[[bytes], None], now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Log:
    """A logger whose lines go to `write`. Fields that are None are left out.

    Built from structlog's parts without its global configuration: the level is checked by a method that does nothing,
    and two processors are all that a line passes.
    """
    render = _render_json(now) if settings.format is Format.JSON else _render_console(now, settings.colour)
    log: Log = wrap_logger(
        _Sink(write),
        processors=[format_exc_info, render],
        wrapper_class=make_filtering_bound_logger(settings.level.number),
        context_class=dict,
    ).bind()  # without it every call would build the logger anew
    return log


class StandardLibrary(logging.Handler):
    """Brings what libraries log (asyncio, grpc, aiohttp) into the same lines."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)


class _Sink:
    """structlog calls the method of the level; all of them write the rendered line."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = write


def _render_json(now: Callable[[], datetime]) -> Callable[[object, str, MutableMapping[str, object]], bytes]:
    encode = msgspec.json.Encoder(enc_hook=str).encode

    def render(_: object, level: str, fields: MutableMapping[str, object]) -> bytes:
        line = {"timestamp": now().isoformat(timespec="milliseconds"), "level": level, "event": fields.pop("event")}
        line.update((name, value) for name, value in fields.items() if value is not None)
        return encode(line) + b"\n"

    return render


def _render_console(
    now: Callable[[], datetime], colour: bool
) -> Callable[[object, str, MutableMapping[str, object]], bytes]:
    paint = painter(colour)

    def render(_: object, level: str, fields: MutableMapping[str, object]) -> bytes:
        event = str(fields.pop("event"))
        known = {name: value for name, value in fields.items() if value is not None}
        return console_line(level, event, known, now().astimezone(), paint).encode()

    return render
