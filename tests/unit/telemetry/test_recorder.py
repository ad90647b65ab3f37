"""Each request is counted once and written once, and its words never leave."""

from typing import cast

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from router_service.errors import InvalidRequest
from router_service.extproc import servicer
from router_service.telemetry.logs import Level, LogSettings, build_log
from router_service.telemetry.metrics import Metrics
from router_service.telemetry.recorder import Recorder
from tests.unit.telemetry.samples import MATCHED, REQUESTED, RESCUED

Lines = list[bytes]


@pytest.fixture
def lines() -> Lines:
    return []


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def recorder(lines: Lines, registry: CollectorRegistry) -> servicer.Recorder:
    return Recorder(Metrics(registry), build_log(LogSettings(), lines.append))


def only(lines: Lines) -> dict[str, object]:
    (line,) = lines
    fields = cast("dict[str, object]", msgspec.json.decode(line))
    del fields["timestamp"]
    return fields


def test_a_decision_is_one_line_and_one_count(
    recorder: servicer.Recorder, lines: Lines, registry: CollectorRegistry
) -> None:
    recorder.decided(MATCHED, request_id="7f0c", seconds=0.00345678)

    assert only(lines) == {
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
    labels = {"source": "preference", "route": "code generation", "model": "openai/gpt-5", "reason": "matched"}
    assert registry.get_sample_value("router_decisions_total", labels) == 1


def test_a_field_without_a_value_is_left_out(recorder: servicer.Recorder, lines: Lines) -> None:
    recorder.decided(REQUESTED, request_id="", seconds=0.0001)

    assert set(only(lines)) == {"level", "event", "model", "source", "reason", "ms"}


def test_a_decision_of_the_second_classifier_says_why_the_first_did_not_answer(
    recorder: servicer.Recorder, lines: Lines
) -> None:
    recorder.decided(RESCUED, request_id="", seconds=0.6)

    assert only(lines)["failed"] == "breaker_open"


def test_a_rejection_names_the_field_and_never_quotes_the_client(
    recorder: servicer.Recorder, lines: Lines, registry: CollectorRegistry
) -> None:
    error = InvalidRequest("messages[0].content is 'my secret prompt', which is not text", param="messages[0].content")
    recorder.rejected(error, request_id="7f0c", seconds=0.0002)

    assert only(lines) == {
        "level": "info",
        "event": "rejected",
        "reason": "invalid_request",
        "status": 400,
        "param": "messages[0].content",
        "ms": 0.2,
        "request_id": "7f0c",
    }
    assert registry.get_sample_value("router_rejected_requests_total", {"reason": "invalid_request"}) == 1


def test_a_defect_is_written_with_its_traceback(recorder: servicer.Recorder, lines: Lines) -> None:
    recorder.failed(ZeroDivisionError("division by zero"), request_id="7f0c")

    line = only(lines)
    assert (line["level"], line["event"], line["request_id"]) == ("error", "failed", "7f0c")
    assert str(line["exception"]).endswith("ZeroDivisionError: division by zero")


def test_a_level_above_info_still_counts(lines: Lines, registry: CollectorRegistry) -> None:
    recorder = Recorder(Metrics(registry), build_log(LogSettings(level=Level.WARNING), lines.append))
    recorder.decided(MATCHED, request_id="", seconds=0.1)
    recorder.stream_opened()

    assert lines == []
    assert registry.get_sample_value("router_decision_seconds_count", {"source": "preference"}) == 1
    assert registry.get_sample_value("router_streams_in_flight") == 1
