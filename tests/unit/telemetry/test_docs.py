"""docs/operations.md says what the code does: every metric with its labels, every event with its fields, both ways."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from prometheus_client import CollectorRegistry

from router_service.errors import InvalidRequest
from router_service.routing.decision import Reason, Source
from router_service.telemetry.metrics import Metrics, ServiceMetrics, rejection_reasons
from tests.unit.telemetry.samples import MATCHED

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operations.md").read_text()
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def table(section: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    text = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    (body,) = [part for part in text if part.startswith(f"{section}\n")]
    rows = next(part for part in body.split("\n\n") if part.startswith("|")).splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def words(cell: str) -> frozenset[str]:
    return frozenset(re.findall(r"`([^`]+)`", cell))


def names_and_labels(registry: CollectorRegistry) -> dict[str, frozenset[str]]:
    found = {}
    for metric in registry.collect():
        labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
        found[metric.name + ("_total" if metric.type == "counter" else "")] = frozenset(labels)
    return found


def test_the_table_of_metrics_is_that_of_the_code(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.decided(MATCHED, 0.1)
    metrics.rejected(InvalidRequest("no"))
    assert MATCHED.classification is not None
    metrics.classified(MATCHED.classification)
    metrics.source_read("file", 2, 0.0)
    metrics.source_failed("file")

    in_code = names_and_labels(registry) | names_and_labels(ServiceMetrics(tmp_path).registry)

    in_docs = {name.strip("`"): words(labels) for name, labels, _ in table("Metrics")}
    assert in_docs == in_code


def test_the_table_of_events_is_that_of_the_code() -> None:
    in_code: dict[str, set[str]] = defaultdict(set)
    for file in (ROOT / "router_service").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            match call:
                case ast.Call(
                    ast.Attribute(ast.Name("log") | ast.Attribute(attr="_log"), level),
                    [ast.Constant(str(event))],
                    keywords,
                ) if level in LEVELS:
                    in_code[event] |= {keyword.arg for keyword in keywords if keyword.arg and keyword.arg != "exc_info"}

    in_docs = {event.strip("`"): set(words(fields)) for event, _, _, fields in table("Logs")}
    assert in_docs == dict(in_code)


def test_every_label_value_from_a_closed_set_is_explained() -> None:
    closed = {*Source, *Reason, *rejection_reasons()}
    assert closed <= words(PAGE)
