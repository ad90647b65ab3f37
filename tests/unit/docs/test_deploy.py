"""docs/deploy.md and deploy/kubernetes/README.md: every link leads somewhere, every command and option exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from router_service.cli import main

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "docs" / "deploy.md", ROOT / "deploy" / "kubernetes" / "README.md"]
EVERYWHERE = "\n".join(page.read_text() for page in PAGES)
CODE = re.findall(r"```sh\n(.*?)```", EVERYWHERE, re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, heading = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^a-z0-9 -]", "", text.lower()).replace(" ", "-") for text in headings}, target


def test_every_path_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:deploy|tests|router_service|overlays|components)/[\w./-]+)`", EVERYWHERE))
    assert named
    for path in named:
        assert any((base / path).exists() for base in (ROOT, ROOT / "deploy" / "kubernetes")), path


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", EVERYWHERE)) <= targets


def test_every_command_takes_the_options_that_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(CODE).replace("\\\n", " ")
    shown = [line.partition(" > ")[0].partition("#")[0] for line in text.splitlines() if "router-service " in line]
    commands = [shlex.split(line) for line in shown if line.startswith("router-service ")]
    assert len(commands) >= 3
    for _, *words in commands:
        depth = 2 if words[0] == "envoy" else 1
        with pytest.raises(SystemExit):
            main([*words[:depth], "--help"])
        known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
        assert {word for word in words if word.startswith("--")} <= known, words


def test_the_plan_of_the_page_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = {line for block in CODE for line in block.splitlines() if line.startswith("router-service plan")}
    assert main(shlex.split(line)[1:]) == 0
    assert f"```text\n{capsys.readouterr().out}```" in EVERYWHERE
