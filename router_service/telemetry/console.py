"""One log event as a line for a person: aligned, coloured if asked, never more than it says in JSON.

Control characters are escaped, so that nothing a client sent can write on the operator's terminal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum

from router_service.routing.decision import Reason

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# A line of the usual names is 100 columns wide.
SOURCE_COLUMNS = 10  # "preference"
ROUTE_COLUMNS = 18  # "code understanding"
MODEL_COLUMNS = 28  # "anthropic/claude-sonnet-4-5"
REASON_COLUMNS = 15  # "no_route 0.27"


class Style(StrEnum):
    """SGR sequences every terminal knows: https://en.wikipedia.org/wiki/ANSI_escape_code#SGR."""

    PLAIN = ""
    BOLD = "\x1b[1m"
    DIM = "\x1b[2m"
    RED = "\x1b[31m"
    GREEN = "\x1b[32m"
    YELLOW = "\x1b[33m"
    CYAN = "\x1b[36m"


_RESET = "\x1b[0m"
# Every reason that is not in here is the default model's, and worth a look.
_REASON_STYLES: dict[str, Style] = {Reason.REQUESTED: Style.PLAIN, Reason.MATCHED: Style.GREEN}
_LEVEL_STYLES = {"debug": Style.DIM, "info": Style.PLAIN, "warning": Style.YELLOW}

Paint = Callable[[Style, str], str]


def painter(colour: bool) -> Paint:
    """A function that styles text, or leaves it alone where there is no terminal."""
    return _paint if colour else _leave


def _paint(style: Style, text: str) -> str:
    return f"{style}{text}{_RESET}" if style else text


def _leave(style: Style, text: str) -> str:
    return text


def console_line(level: str, event: str, fields: Mapping[str, object], now: datetime, paint: Paint) -> str:
    """The line of one log event, newline included; a traceback follows on lines of its own."""
    rest = dict(fields)
    exception = rest.pop("exception", None)
    match event:
        case "decided":
            text = _decided(rest, paint)
        case "rejected":
            text = _rejected(rest, paint)
        case _:
            text = _other(level, event, rest, paint)
    line = f"{paint(Style.DIM, f'{now:%H:%M:%S}')}  {text}".rstrip() + "\n"
    return f"{line}{exception}\n" if exception is not None else line


def _decided(fields: Mapping[str, object], paint: Paint) -> str:
    confidence = fields.get("confidence")
    sure = f" {confidence:.2f}" if isinstance(confidence, float) else ""
    instead_of = f" ({_shown(fields['failed'])})" if "failed" in fields else ""
    reason = _column(fields, "reason")
    style = _REASON_STYLES.get(reason, Style.YELLOW)
    return _columns(
        paint(Style.CYAN, _column(fields, "source", SOURCE_COLUMNS)),
        _column(fields, "route", ROUTE_COLUMNS),
        "→ " + paint(Style.BOLD, _column(fields, "model", MODEL_COLUMNS)),
        paint(style, f"{reason + sure + instead_of:<{REASON_COLUMNS}}"),
        paint(Style.DIM, _milliseconds(fields)),
    )


def _rejected(fields: Mapping[str, object], paint: Paint) -> str:
    return _columns(
        paint(Style.RED, f"{'rejected':<{SOURCE_COLUMNS}}"),
        _column(fields, "param", ROUTE_COLUMNS),
        "→ " + paint(Style.BOLD, _column(fields, "status", MODEL_COLUMNS)),
        paint(Style.RED, _column(fields, "reason", REASON_COLUMNS)),
        paint(Style.DIM, _milliseconds(fields)),
    )


def _other(level: str, event: str, fields: Mapping[str, object], paint: Paint) -> str:
    pairs = " ".join(f"{key}={_shown(value)}" for key, value in fields.items())
    name = paint(_LEVEL_STYLES.get(level, Style.RED), f"{level:<{SOURCE_COLUMNS}}")
    return f"{name}  {_shown(event)}{'  ' if pairs else ''}{pairs}"


def _columns(*columns: str) -> str:
    return "  ".join(columns)


def _column(fields: Mapping[str, object], name: str, width: int = 0) -> str:
    return f"{_shown(fields.get(name, '')):<{width}}"


def _milliseconds(fields: Mapping[str, object]) -> str:
    ms = fields.get("ms")
    return f"{ms:6.1f} ms" if isinstance(ms, float) else ""


def _shown(value: object) -> str:
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", str(value))
