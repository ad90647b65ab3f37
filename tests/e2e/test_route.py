"""The installed command explains a decision with the embedded classifier."""

from __future__ import annotations

import json

from tests.e2e.commands import running


def test_a_request_is_explained_and_nothing_is_sent() -> None:
    with running("route", "examples/demo.yaml", "write a short poem about the sea", "--json") as process:
        printed, complained = process.communicate(timeout=110)
        assert process.returncode == 0, complained
    shown = json.loads(printed)
    assert (shown["route"], shown["reason"], shown["classifier"]) == ("creative writing", "matched", "embedded")
    assert shown["models"] == ["anthropic/claude-sonnet-4-5", "openai/gpt-5.2"]
    assert list(shown["scores"]) == ["code generation", "creative writing", "complex reasoning"]


def test_an_unknown_model_exits_with_1() -> None:
    with running("route", "examples/demo.yaml", "hello", "--model", "gpt-6") as process:
        _, complained = process.communicate(timeout=110)
        assert process.returncode == 1
    assert complained.startswith("404 model_not_found: The model 'gpt-6' does not exist here.")
