"""docs/failures.md says what the code does, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from router_service.dataplane.local_replies import EDGE_REPLIES, MODEL_REPLIES
from router_service.errors import RequestError
from router_service.routing.decision import Reason

PAGE = (Path(__file__).parents[3] / "docs/failures.md").read_text()


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head, cells stripped."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_every_refusal_stands_in_the_table_with_its_status_and_words() -> None:
    written = {
        (status, code.strip("`"), reason.strip("`")) for _, status, code, reason in table("Requests that are refused")
    }
    assert written == {(str(error.status), error.code, error.reason) for error in RequestError.__subclasses__()}


def test_every_answer_of_envoys_stands_in_the_table_with_its_status() -> None:
    written = {(int(status), code.strip("`")) for status, code, _ in table("Requests that Envoy answers")}
    assert written == {(reply.status, reply.code) for reply in (*EDGE_REPLIES, *MODEL_REPLIES)}


def test_every_reason_stands_in_the_table() -> None:
    written = [re.findall(r"`(\w+)`", row[0])[0] for row in table("Requests that are routed, but not as hoped")]
    assert sorted(written) == sorted(Reason)
