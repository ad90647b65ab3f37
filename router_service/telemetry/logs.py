"""What the service writes down: one line a request, and little else.

Owns the fields of those lines (docs/operations.md has the table; a test compares them) and how a line is built: JSON
for machines, `console` for a person. Never writes a prompt, a key, an upstream's address or a client's text.
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

from router_service.errors import RequestError
from router_service.routing.decision import Decision
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


class RequestLog:
    """The one line of each request."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def decided(self, decision: Decision, *, request_id: str | None, seconds: float) -> None:
        """The request got a model, `seconds` after its last byte arrived."""
        asked = decision.classification
        self._log.info(
            "decided",
            model=decision.model,
            source=decision.source,
            route=decision.route,
            reason=decision.reason,
            classifier=asked.backend if asked else None,
            confidence=round(asked.confidence, 3) if asked and asked.confidence is not None else None,
            failed=asked.failed if asked else None,
            classifier_ms=round(asked.latency_s * 1e3, 3) if asked else None,
            ms=round(seconds * 1e3, 3),
            request_id=request_id,
        )

    def rejected(self, error: RequestError, *, request_id: str | None, seconds: float) -> None:
        """The request was answered with `error`. Its message may quote the client, so it is not written."""
        self._log.info(
            "rejected",
            reason=error.reason,
            status=error.status,
            param=error.param,
            ms=round(seconds * 1e3, 3),
            request_id=request_id,
        )


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
