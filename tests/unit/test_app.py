"""What the log says of model servers."""

from __future__ import annotations

import json

import pytest

from router_service.app import ModelServerLog
from router_service.classify.facts import Facts
from router_service.classify.model_server import ServedModel
from router_service.telemetry.logs import LogSettings, build_log

ADDRESS = "http://10.0.0.1:8000"
VLLM = Facts(
    (ServedModel("Arch-Router"),),
    serves_model=True,
    version="0.32.0",
    first_guess_tokens=1,
    constrained=True,
    weighs=True,
)


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        pytest.param(
            VLLM,
            {
                "level": "info",
                "event": "model_server_found",
                "version": "0.32.0",
                "constrained": True,
                "stops_early": True,
                "weighs": True,
            },
            id="what it can do",
        ),
        pytest.param(
            Facts((ServedModel("llama"), ServedModel("qwen")), serves_model=False),
            {"level": "warning", "event": "model_not_served", "model": "Arch-Router", "served": ["llama", "qwen"]},
            id="that it lacks the model, and what it has instead",
        ),
    ],
)
def test_a_server_that_is_found_is_told(facts: Facts, line: dict[str, object]) -> None:
    lines: list[bytes] = []
    ModelServerLog(build_log(LogSettings(), lines.append), "Arch-Router").found(ADDRESS, facts)
    (written,) = [json.loads(line) for line in lines]
    assert written.pop("timestamp")
    assert written == {**line, "address": ADDRESS}
