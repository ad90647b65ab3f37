"""The files of examples/ show what they say, and load."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_service.config.load import Loaded, load
from router_service.config.providers import KNOWN

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))


class EveryVariableIsSet(dict[str, str]):
    def get(self, name: str, default: object = None) -> str:
        return f"value-of-{name}"


def loaded(name: str) -> Loaded:
    return load(EXAMPLES / name, EveryVariableIsSet())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_loads_without_a_warning(path: Path) -> None:
    assert loaded(path.name).warnings == ()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_begins_with_a_line_that_says_what_it_shows(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("# ")
    assert first.endswith((".", ":"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_loads_without_any_key(path: Path) -> None:
    said = [warning.what for warning in load(path, {}).warnings]
    assert [what for what in said if "environment variable" not in what and "without their key" not in what] == []


def test_every_known_provider_has_an_entry_in_all_providers() -> None:
    providers = {entry.provider for entry in loaded("all-providers.yaml").config.model_providers}
    assert set(KNOWN) <= providers


def test_every_suggested_variable_is_the_one_of_the_example() -> None:
    text = (EXAMPLES / "all-providers.yaml").read_text()
    assert [row.key_variable for row in KNOWN.values() if row.key_variable and f"${row.key_variable}" not in text] == []


def test_the_demo_shows_the_three_ways_of_routing() -> None:
    catalog = loaded("demo.yaml").catalog
    assert {model.provider for model in catalog.models} == {"openai", "anthropic"}
    assert set(catalog.aliases) == {"fast-model", "creative-model"}
    assert catalog.default is not None
    code, creative, reasoning = catalog.preferences
    assert (code.name, creative.name, reasoning.name) == ("code generation", "creative writing", "complex reasoning")
    assert len({code.models[0], creative.models[0], catalog.default}) == 3
