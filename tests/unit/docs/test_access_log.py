"""docs/operations.md names every field of Envoy's access log."""

from __future__ import annotations

import re
from pathlib import Path

from router_service.dataplane.access_log import ATTEMPT_FIELDS, REQUEST_FIELDS

PAGE = (Path(__file__).parents[3] / "docs/operations.md").read_text()
SECTION = PAGE.split("## Envoy's access log\n")[1].split("\n## ")[0]


def test_every_field_of_a_request_stands_in_the_table_and_no_other() -> None:
    rows = [line.split("|")[1] for line in SECTION.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == set(REQUEST_FIELDS) - {"event"}


def test_every_field_of_a_failed_attempt_is_named() -> None:
    text = SECTION.split('"event": "failed attempt"')[1]
    named = set(re.findall(r"`(\w+)`", text)) | {"event", "time"}
    assert set(ATTEMPT_FIELDS) <= named
