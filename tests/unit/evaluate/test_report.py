from __future__ import annotations

from pathlib import Path

import pytest

from router_service.evaluate.measure import Measurement, measure
from router_service.evaluate.outcome import Outcome
from router_service.evaluate.report import render
from router_service.routing.decision import Reason
from tests.unit.evaluate.builders import answer, case, outcomes

GOLDEN = Path(__file__).parent / "golden"
ROUTES = ("code generation", "debugging", "a route whose name is longer than anybody needs")


def small(backend: str = "embedded", *, flip: bool = False) -> Measurement:
    """Twelve single cases and two conversations, every kind of line of the report among them."""
    generation, debugging = ROUTES[0], ROUTES[1]
    scored = [
        (generation, generation, 0.92),
        (generation, generation, 0.81),
        (generation, debugging, 0.55),
        (debugging, debugging, 0.88),
        (debugging, debugging if flip else generation, 0.47),
        (debugging, "other", 0.20),
        ("other", debugging, 0.35),
        ("other", "other", 0.10),
    ]
    single = [
        Outcome(
            case(expected, id=f"single-{number}"),
            answer(predicted, confidence=confidence, scores={generation: confidence, debugging: confidence / 2}),
            number / 1000,
        )
        for number, (expected, predicted, confidence) in enumerate(scored, start=1)
    ]
    return measure(
        backend,
        [
            *single,
            *outcomes([(None, generation), (None, "other"), (ROUTES[2], Reason.TIMEOUT), (generation, generation)]),
            *outcomes([(generation, generation), (generation, debugging), (debugging, debugging)], conversation="k1"),
            *outcomes([(debugging, debugging), ("other", "other")], conversation="k2"),
        ],
        ROUTES,
    )


@pytest.mark.parametrize(
    ("name", "measurements"),
    [
        pytest.param("one.txt", [small()], id="one backend"),
        pytest.param("two.txt", [small(), small("vllm", flip=True)], id="two backends"),
        pytest.param("unlabelled.txt", [measure("embedded", outcomes([(None, "debugging")]), ROUTES)], id="no labels"),
        pytest.param(
            "right.txt", [measure("vllm", outcomes([("debugging", "debugging")]), ROUTES)], id="nothing wrong"
        ),
    ],
)
def test_the_report_is_the_golden_one(name: str, measurements: list[Measurement]) -> None:
    assert render(measurements) == (GOLDEN / name).read_text(encoding="utf-8")
