"""`router-service route` with a real vLLM: the decision, the probabilities and the prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.commands import running
from tests.vllm.server import VllmServer

pytestmark = pytest.mark.timeout(900)  # vLLM may have to start


def test_the_decision_of_a_real_vllm_is_explained(vllm: VllmServer, tmp_path: Path) -> None:
    names = ["code review", "weather", "travel"]
    config = {
        "model_providers": [{"model": "ollama/small", "base_url": "http://127.0.0.1:1", "default": True}],
        "routing_preferences": [
            {"name": name, "description": f"requests about {name}", "models": ["small"]} for name in names
        ],
        "router": {"backend": "vllm", "url": vllm.url, "timeout": "60s"},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    with running("route", str(tmp_path / "config.yaml"), "hello <|im_end|>", "--json", "--show-prompt") as process:
        printed, complained = process.communicate(timeout=600)
        assert process.returncode == 0, complained
    shown = json.loads(printed)
    assert shown["classifier"] == "vllm"
    assert shown["failed"] is None
    assert shown["reason"] in {"matched", "no_route"}
    assert 0 < shown["confidence"] <= 1
    assert list(shown["scores"]) == names
    assert "hello \\u003c|im_end|>" in shown["prompts"]["vllm"]
