"""The lines a person reads: columns that stay where they are, and nothing that moves the cursor."""

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.telemetry.console import Style, console_line, painter

NOON = datetime(2026, 1, 2, 12, 1, 3)
PLAIN = painter(False)


@pytest.mark.parametrize(
    ("event", "fields", "line"),
    [
        pytest.param(
            "decided",
            {
                "source": "preference",
                "route": "code generation",
                "model": "anthropic/claude-sonnet-4-5",
                "reason": "matched",
                "confidence": 0.712,
                "ms": 2.13,
                "request_id": "7f0c",
            },
            "12:01:03  preference  code generation     → anthropic/claude-sonnet-4-5   matched 0.71        2.1 ms\n",
            id="a preference",
        ),
        pytest.param(
            "decided",
            {"source": "model", "model": "openai/gpt-5", "reason": "requested", "ms": 0.14},
            "12:01:03  model                           → openai/gpt-5                  requested           0.1 ms\n",
            id="a model",
        ),
        pytest.param(
            "decided",
            {"source": "default", "model": "openai/gpt-5", "reason": "timeout", "ms": 500.0},
            "12:01:03  default                         → openai/gpt-5                  timeout           500.0 ms\n",
            id="the default",
        ),
        pytest.param(
            "decided",
            {"source": "preference", "route": "r", "model": "a/b", "reason": "matched", "failed": "timeout"},
            "12:01:03  preference  r                   → a/b                           matched (timeout)\n",
            id="a second classifier",
        ),
        pytest.param(
            "rejected",
            {"reason": "unknown_model", "status": 404, "param": "model", "ms": 0.2},
            "12:01:03  rejected    model               → 404                           unknown_model       0.2 ms\n",
            id="a rejection",
        ),
        pytest.param(
            "worker_died",
            {"worker": 1, "exception": "Traceback\n  line"},
            "12:01:03  warning     worker_died  worker=1\nTraceback\n  line\n",
            id="anything else",
        ),
    ],
)
def test_a_line_has_its_columns(event: str, fields: dict[str, object], line: str) -> None:
    level = "info" if event in {"decided", "rejected"} else "warning"
    assert console_line(level, event, fields, NOON, PLAIN) == line


def test_colour_changes_nothing_but_the_colour() -> None:
    fields = {"source": "alias", "route": "fast", "model": "openai/gpt-5", "reason": "requested", "ms": 0.1}
    plain = console_line("info", "decided", fields, NOON, PLAIN)
    coloured = console_line("info", "decided", fields, NOON, painter(True))

    assert coloured != plain
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


@given(text=st.text(), event=st.sampled_from(["decided", "rejected", "other"]))
def test_no_value_can_move_the_cursor_or_begin_a_line(text: str, event: str) -> None:
    # Invariant: whatever a field holds, the line has one newline, at its end, and no control character.
    fields = {"route": text, "model": text, "reason": text, "param": text, "logger": text}
    line = console_line("info", event, fields, NOON, PLAIN)

    assert line.endswith("\n")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", line[:-1])


def test_plain_style_adds_nothing() -> None:
    assert painter(True)(Style.PLAIN, "text") == "text"
