"""`router-service eval` with a model server: over a real socket, as the configuration would serve."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from router_service.cli import main
from tests.contract.scripted_server import Script, answer, complete, running

CONFIG = """\
model_providers: [{{model: openai/a, passthrough_auth: true, default: true}}]
routing_preferences:
- name: debugging
  description: stack traces, error messages and failing tests
  models: [openai/a]
- name: translation
  description: texts and phrases in another language
  models: [openai/a]
router: {{backend: openai, url: "{url}", timeout: 30s, fallback: {fallback}}}
"""
CASES = """\
{"messages": [{"role": "user", "content": "why does this crash"}], "expected": "debugging"}
{"messages": [{"role": "user", "content": "how do I say this in Dutch"}], "expected": "translation"}
"""


async def evaluate(tmp_path: Path, script: Script, *arguments: str, fallback: str = "none") -> dict[str, object]:
    """The JSON report of the command, run in a thread beside the server."""
    (tmp_path / "cases.jsonl").write_text(CASES, encoding="utf-8")
    async with running(script) as server:
        config = CONFIG.format(url=server.url, fallback=fallback)
        (tmp_path / "router.yaml").write_text(config, encoding="utf-8")
        given = [str(tmp_path / "cases.jsonl"), "--config", str(tmp_path / "router.yaml"), *arguments]
        assert await asyncio.to_thread(main, ["eval", *given, "--json", str(tmp_path / "report.json")]) == 0
    found: dict[str, object] = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    return found


async def test_a_model_servers_answers_are_judged(tmp_path: Path) -> None:
    report = await evaluate(tmp_path, complete('{"route": "debugging"}'))
    assert (report["backend"], report["accuracy"], report["failures"]) == ("openai", 0.5, {})
    assert report["confusions"] == [{"expected": "translation", "predicted": "debugging", "count": 1}]


async def test_a_server_that_fails_is_never_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = await evaluate(tmp_path, answer(500, b"{}"))
    assert (report["accuracy"], report["failures"]) == (0.0, {"classifier_error": 2})
    assert "2 of 2 cases were not answered (2 classifier_error)" in capsys.readouterr().out


async def test_the_fallback_is_judged_and_named_as_such(tmp_path: Path) -> None:
    report = await evaluate(tmp_path, answer(500, b"{}"), fallback="embedded")
    assert (report["failures"], report["fallbacks"]) == ({}, {"classifier_error": 2})


async def test_two_backends_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = complete('{"route": "translation"}')
    report = await evaluate(tmp_path, script, "--compare", "openai,embedded", fallback="embedded")
    assert (report["backend"], report["accuracy"]) == ("openai", 0.5)
    assert '"backend": "embedded"' in json.dumps(report["compare"])
    assert "embedded against openai:" in capsys.readouterr().out
