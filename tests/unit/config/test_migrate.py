"""Files in older shapes, and files of the gateway this one replaces, mean what their newest form means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from router_service.config.load import Loaded, load
from tests.unit.config.test_mistakes import ENVIRON, FILES, said_of

OLD = sorted(path for path in (FILES / "plano").glob("*.yaml") if not path.name.endswith(".new.yaml"))


def _load(path: Path) -> Loaded:
    return replace(load(path, ENVIRON), warnings=())


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_an_older_file_equals_its_newest_form(path: Path) -> None:
    assert _load(path) == _load(path.with_suffix(".new.yaml"))


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_what_is_not_served_is_a_warning_that_says_what_does_not_happen(path: Path) -> None:
    assert said_of(path) == path.with_suffix(".txt").read_text()


if __name__ == "__main__":
    for old in OLD:
        old.with_suffix(".txt").write_text(said_of(old))
