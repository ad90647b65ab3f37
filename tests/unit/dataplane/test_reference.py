"""envoy/ is what `make envoy` renders, and its README names what is in it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from router_service.cli import main

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "envoy"


def test_the_reference_is_what_make_envoy_renders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = (ROOT / "Makefile").read_text().split("\nenvoy:")[1].split("\n\n")[0].partition("\n")[2]
    words = shlex.split(recipe.replace("\\\n", " ").replace("$$", "$").lstrip("\t@"))
    variables = [word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word)]
    arguments = words[words.index("$(BIN)/router-service") + 1 :]
    for name, value in variables:
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    arguments[arguments.index("--out") + 1] = str(tmp_path)
    assert main(arguments) == 0
    rendered = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*.json")}
    committed = {str(path.relative_to(REFERENCE)): path.read_text() for path in REFERENCE.rglob("*.json")}
    assert sorted(rendered) == sorted(committed)
    assert [name for name in rendered if rendered[name] != committed[name]] == [], "run `make envoy`"


def test_the_reference_holds_no_key() -> None:
    for path in (REFERENCE / "sds").iterdir():
        assert re.search(r'"inline_string": "\$[A-Z_]+"', path.read_text()), path.name


def test_the_readme_names_every_file_and_filter() -> None:
    text = (REFERENCE / "README.md").read_text()
    names = {path.name for path in REFERENCE.iterdir()} - {"README.md"}
    names |= set(re.findall(r'"name": "envoy\.filters\.http\.([\w.]+)"', (REFERENCE / "lds.json").read_text()))
    assert [name for name in sorted(names) if name.partition(".")[0] not in text] == []
