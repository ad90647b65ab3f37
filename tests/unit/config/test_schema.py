"""An editor with our schema marks what `check` refuses, and nothing that it accepts."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from router_service.config.models import Config
from router_service.config.not_served import NOT_SERVED
from router_service.config.schema import json_schema
from tests.unit.config.test_examples import FILES as EXAMPLES
from tests.unit.config.test_migrate import OLD
from tests.unit.config.test_mistakes import FILES

SCHEMA = jsonschema.Draft202012Validator(json_schema())
GOOD = [*EXAMPLES, *OLD, *(path.with_suffix(".new.yaml") for path in OLD)]
MISTAKES_OF_SHAPE = ["no-providers", "out-of-range", "provider-without-model", "quantities", "wrong-choices"]
MISTAKES_OF_SHAPE += ["both-provider-keys", "empty-providers", "providers-as-mapping", "unknown-keys", "wrong-types"]


def marks(path: Path) -> list[str]:
    return [error.message for error in SCHEMA.iter_errors(yaml.safe_load(path.read_text()))]


def test_the_schema_is_one() -> None:
    SCHEMA.check_schema(json_schema())


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_a_file_that_loads_is_not_marked(path: Path) -> None:
    assert marks(path) == []


@pytest.mark.parametrize("name", MISTAKES_OF_SHAPE)
def test_a_file_of_the_wrong_shape_is_marked(name: str) -> None:
    assert marks(FILES / "mistakes" / f"{name}.yaml")


@pytest.mark.parametrize(
    ("timeout", "fits"),
    [
        pytest.param("500ms", True, id="with a unit"),
        pytest.param("1.5 s", True, id="a fraction, a space"),
        pytest.param(30, True, id="seconds"),
        pytest.param("30", True, id="seconds as a text"),
        pytest.param("30 parsecs", False, id="no unit of time"),
        pytest.param(-1, False, id="negative"),
    ],
)
def test_durations_have_a_pattern(timeout: object, fits: bool) -> None:
    file = {"model_providers": [{"model": "openai/gpt-5"}], "router": {"timeout": timeout}}
    assert SCHEMA.is_valid(file) == fits


@pytest.mark.parametrize("section", sorted(set(Config.model_fields) - {"model_providers"}))
def test_a_section_may_have_no_contents(section: str) -> None:
    assert SCHEMA.is_valid({"model_providers": [{"model": "openai/gpt-5"}], section: None})


def test_every_key_is_described() -> None:
    undescribed = [
        f"{name}.{key}"
        for name, section in {"": json_schema(), **_objects(json_schema()["$defs"])}.items()
        for key, entry in _objects(_objects(section)["properties"]).items()
        if "description" not in _objects(entry)
    ]
    assert undescribed == []


def _objects(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def test_no_key_is_both_served_and_not() -> None:
    assert set(Config.model_fields).isdisjoint(NOT_SERVED[""])
