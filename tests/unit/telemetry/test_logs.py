"""The lines of a request as JSON, and what never gets into them."""

import logging
from datetime import UTC, datetime
from typing import cast

import msgspec
import pytest

from router_service.errors import InvalidRequest
from router_service.telemetry.logs import Format, Level, Log, LogSettings, RequestLog, StandardLibrary, build_log
from tests.unit.telemetry.samples import MATCHED, REQUESTED, RESCUED

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


def test_a_decision_is_one_json_line(log: Log, lines: Lines) -> None:
    RequestLog(log).decided(MATCHED, request_id="7f0c", seconds=0.00345678)

    assert only(lines) == {
        "timestamp": "2026-01-02T12:01:03.456+00:00",
        "level": "info",
        "event": "decided",
        "model": "openai/gpt-5",
        "source": "preference",
        "route": "code generation",
        "reason": "matched",
        "classifier": "embedded",
        "confidence": 0.712,
        "classifier_ms": 2.1,
        "ms": 3.457,
        "request_id": "7f0c",
    }


def test_a_field_without_a_value_is_left_out(log: Log, lines: Lines) -> None:
    RequestLog(log).decided(REQUESTED, request_id=None, seconds=0.0001)

    assert set(only(lines)) == {"timestamp", "level", "event", "model", "source", "reason", "ms"}


def test_a_decision_of_the_second_classifier_says_why_the_first_did_not_answer(log: Log, lines: Lines) -> None:
    RequestLog(log).decided(RESCUED, request_id=None, seconds=0.6)

    assert only(lines)["failed"] == "breaker_open"


def test_a_rejection_names_the_field_and_never_quotes_the_client(log: Log, lines: Lines) -> None:
    error = InvalidRequest("messages[0].content is 'my secret prompt', which is not text", param="messages[0].content")
    RequestLog(log).rejected(error, request_id="7f0c", seconds=0.0002)

    line = only(lines)
    assert (line["event"], line["reason"], line["status"]) == ("rejected", "invalid_request", 400)
    assert line["param"] == "messages[0].content"
    assert "secret" not in str(line)


def test_a_level_above_info_writes_no_line_a_request(lines: Lines) -> None:
    log = build_log(LogSettings(level=Level.WARNING), lines.append)
    RequestLog(log).decided(MATCHED, request_id=None, seconds=0.1)

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


def test_the_console_prints_the_same_decision_for_a_person(lines: Lines) -> None:
    log = build_log(LogSettings(format=Format.CONSOLE), lines.append, now=lambda: NOON)
    RequestLog(log).decided(MATCHED, request_id="7f0c", seconds=0.0034)

    (line,) = lines
    words = line.decode().split()
    assert words[1:] == ["preference", "code", "generation", "→", "openai/gpt-5", "matched", "0.71", "3.4", "ms"]
