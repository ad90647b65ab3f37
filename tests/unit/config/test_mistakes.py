"""One file per mistake, with everything that is said about it.

After a change of words: look at each difference, then `python -m tests.unit.config.test_mistakes` writes them anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from router_service.config.load import load
from router_service.errors import ConfigError, format_problem

FILES = Path(__file__).parent / "files"
MISTAKES = sorted((FILES / "mistakes").glob("*.yaml"))
ENVIRON = {
    "OPENAI_API_KEY": "secret-openai",
    "ANTHROPIC_API_KEY": "secret-anthropic",
    "EMPTY": "",
    "TWO_LINES": "secret-first\nsecret-second",
}


def said_of(path: Path) -> str:
    """Every problem of a file, one a line."""
    try:
        problems = load(path, ENVIRON).warnings
    except ConfigError as error:
        problems = error.problems
    return "".join(f"{format_problem(path.name, problem)}\n" for problem in problems)


@pytest.mark.parametrize("path", MISTAKES, ids=lambda path: path.stem)
def test_a_mistake_is_named_with_its_line_and_what_to_do(path: Path) -> None:
    said = said_of(path)
    assert said == path.with_suffix(".txt").read_text()
    assert "secret" not in said


if __name__ == "__main__":
    for mistake in MISTAKES:
        mistake.with_suffix(".txt").write_text(said_of(mistake))
