"""docs/failures.md says what the code does, and nothing else."""

from __future__ import annotations

import json
import re
from itertools import dropwhile, takewhile
from pathlib import Path

from router_service.dataplane.clusters import (
    FAILURES_IN_A_ROW,
    LEFT_ALONE_AT_MOST_S,
    LEFT_ALONE_S,
    MAX_AT_PROVIDER,
)
from router_service.dataplane.local_replies import EDGE_REPLIES, MODEL_REPLIES
from router_service.errors import RequestError
from router_service.extproc.replies import ANTHROPIC, error_object
from router_service.routing.decision import Reason

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "failures.md").read_text()
OPERATIONS = (DOCS / "operations.md").read_text()


def table(heading: str, page: str = PAGE) -> list[list[str]]:
    """The rows of the first table under a heading, without its head, cells stripped."""
    section = page.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    from_the_table_on = dropwhile(lambda line: not line.startswith("|"), section.splitlines())
    rows = list(takewhile(lambda line: line.startswith("|"), from_the_table_on))
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_every_refusal_stands_in_the_table_with_its_status_and_words() -> None:
    written = {
        (status, code.strip("`"), reason.strip("`")) for _, status, code, reason in table("Requests that are refused")
    }
    assert written == {(str(error.status), error.code, error.reason) for error in RequestError.__subclasses__()}


def test_every_answer_of_envoys_stands_in_the_table_with_its_status() -> None:
    written = {(int(status), code.strip("`")) for status, code, _ in table("Requests that Envoy answers")}
    assert written == {(reply.status, reply.code) for reply in (*EDGE_REPLIES, *MODEL_REPLIES)}


def test_anthropics_types_are_what_the_service_says() -> None:
    rows = {word: kind.strip("`") for words, kind in table("Anthropic's words for it") for word in words.split(", ")}
    answers = {error.status for error in RequestError.__subclasses__()}
    answers |= {reply.status for reply in (*EDGE_REPLIES, *MODEL_REPLIES)}
    assert {int(word) for word in rows if word.isdigit()} <= answers
    for status in answers:
        error = json.loads(error_object(ANTHROPIC, status, "code", "message"))["error"]
        assert error["type"] == rows.get(str(status), rows[f"any other {status // 100}xx"]), status


def test_every_reason_stands_in_the_table() -> None:
    written = [re.findall(r"`(\w+)`", row[0])[0] for row in table("Requests that are routed, but not as hoped")]
    assert sorted(written) == sorted(Reason)


def test_the_numbers_by_which_a_failing_provider_is_left_alone_are_the_codes() -> None:
    numbers = [row[0] for row in table("Providers that keep failing", OPERATIONS)]
    assert numbers == [
        str(FAILURES_IN_A_ROW),
        f"{LEFT_ALONE_S} s",
        f"{LEFT_ALONE_AT_MOST_S} s",
        f"{MAX_AT_PROVIDER:,}",
    ]
