"""A log event as a JSON line, and as a line for a person."""

import logging
from datetime import UTC, datetime
from typing import cast

import msgspec
import pytest

from router_service.routing.decision import Reason
from router_service.telemetry.logs import Format, Level, Log, LogSettings, StandardLibrary, build_log

NOON = datetime(2026, 1, 2, 12, 1, 3, 456_789, UTC)

Lines = list[bytes]


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def log(lines: Lines) -> Log:
    return build_log(LogSettings(), lines.append, now=lambda: NOON)


def only(lines: Lines) -> dict[str, object]:
    (line,) = lines
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return cast("dict[str, object]", msgspec.json.decode(line))


def test_an_event_is_one_json_line_that_begins_with_when_how_bad_and_what(log: Log, lines: Lines) -> None:
    log.info("decided", reason=Reason.MATCHED, ms=3.457)

    assert lines == [
        b'{"timestamp":"2026-01-02T12:01:03.456+00:00","level":"info","event":"decided","reason":"matched","ms":3.457}\n'
    ]


def test_a_field_that_is_none_is_left_out(log: Log, lines: Lines) -> None:
    log.info("decided", route=None, ms=0.0)

    assert set(only(lines)) == {"timestamp", "level", "event", "ms"}


def test_a_level_below_the_chosen_one_is_not_written(lines: Lines) -> None:
    log = build_log(LogSettings(level=Level.WARNING), lines.append)
    log.info("decided")

    assert lines == []


def test_a_value_that_json_does_not_know_is_written_as_text(log: Log, lines: Lines) -> None:
    log.warning("unusual", value=1j)

    assert only(lines)["value"] == "1j"


def test_an_exception_is_one_line_with_its_traceback(log: Log, lines: Lines) -> None:
    try:
        1 / 0  # noqa: B018 only the exception matters
    except ZeroDivisionError:
        log.exception("failed")

    line = only(lines)
    assert (line["level"], line["event"]) == ("error", "failed")
    assert str(line["exception"]).endswith("ZeroDivisionError: division by zero")


def test_what_a_library_logs_comes_in_the_same_shape(log: Log, lines: Lines) -> None:
    record = logging.LogRecord("asyncio", logging.ERROR, "", 0, "Task %s was destroyed", ("t-1",), None)
    StandardLibrary(log).handle(record)

    line = only(lines)
    assert (line["level"], line["event"], line["logger"]) == ("error", "Task t-1 was destroyed", "asyncio")


def test_the_console_prints_the_same_event_for_a_person(lines: Lines) -> None:
    log = build_log(LogSettings(format=Format.CONSOLE), lines.append, now=lambda: NOON)
    log.info("decided", source="preference", route="code generation", model="openai/gpt-5", reason="matched", ms=3.4)

    (line,) = lines
    assert line.decode().split()[1:] == [
        *("preference", "code", "generation", "→", "openai/gpt-5"),
        *("matched", "3.4", "ms"),
    ]
