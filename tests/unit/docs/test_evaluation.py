"""docs/evaluation.md says what `router-service eval` reads, takes and writes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from router_service.cli import Command
from router_service.cli import eval as eval_command
from router_service.cli import fit as fit_command
from router_service.evaluate.cases import read_cases
from router_service.evaluate.json_report import to_json
from tests.unit.evaluate.builders import small

PAGE = (Path(__file__).parents[3] / "docs/evaluation.md").read_text(encoding="utf-8")
WORDS = set(re.findall(r"`([a-z_0-9]+)`", PAGE)) | set(re.findall(r"`([a-z_]+)`", PAGE.replace(", ", "`, `")))


def test_the_example_of_the_format_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)[0], encoding="utf-8")
    cases = read_cases(tmp_path / "cases.jsonl", ["debugging"])
    assert [case.expected for case in cases] == ["debugging", "debugging", "other"]
    assert cases[0].conversation == cases[1].conversation == "c-17"


def test_every_key_of_the_json_report_is_explained() -> None:
    report = to_json([small(), small("vllm")])
    assert [key for key in report if key not in WORDS] == []
    assert "gain" in WORDS
    assert "gain_ci" in WORDS


@pytest.mark.parametrize("command", [eval_command, fit_command], ids=["eval", "fit"])
def test_every_option_is_shown(command: Command) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = [action.option_strings[-1] for action in parser._actions if action.option_strings]
    assert [option for option in options if option not in PAGE and option != "--help"] == []
