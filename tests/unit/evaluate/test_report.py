from __future__ import annotations

from pathlib import Path

import pytest

from router_service.evaluate.measure import Measurement, measure
from router_service.evaluate.report import render
from tests.unit.evaluate.builders import SMALL_ROUTES, outcomes, small

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(
    ("name", "measurements"),
    [
        pytest.param("one.txt", [small()], id="one backend"),
        pytest.param("two.txt", [small(), small("vllm", flip=True)], id="two backends"),
        pytest.param(
            "unlabelled.txt", [measure("embedded", outcomes([(None, "debugging")]), SMALL_ROUTES)], id="no labels"
        ),
        pytest.param(
            "right.txt", [measure("vllm", outcomes([("debugging", "debugging")]), SMALL_ROUTES)], id="nothing wrong"
        ),
    ],
)
def test_the_report_is_the_golden_one(name: str, measurements: list[Measurement]) -> None:
    assert render(measurements) == (GOLDEN / name).read_text(encoding="utf-8")
