from __future__ import annotations

from pathlib import Path

import pytest

from router_service.config.load import load_routes
from router_service.errors import ConfigError

PREFERENCE = "- name: debugging\n  description: stack traces, error messages and failing tests\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "routes.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_preferences_without_models_are_a_catalogue_to_measure(tmp_path: Path) -> None:
    loaded = load_routes(write(tmp_path, f"routing_preferences:\n{PREFERENCE}  examples: [why does it crash]\n"))
    (preference,) = loaded.catalog.preferences
    assert (preference.name, preference.examples) == ("debugging", ("why does it crash",))
    assert loaded.warnings == ()


def test_models_that_stand_in_it_are_not_looked_up(tmp_path: Path) -> None:
    text = f"routing_preferences:\n{PREFERENCE}  models: [nobody/knows]\n"
    assert len(load_routes(write(tmp_path, text)).catalog.preferences) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "",
            "FILE: the file has no routing_preferences; write `routing_preferences:` and its entries, or name a whole "
            "configuration with --config",
            id="empty",
        ),
        pytest.param(
            f"router: {{}}\nrouting_preferences:\n{PREFERENCE}",
            "FILE:1: router: is not read from a file of routes; remove it, or name the file with --config",
            id="another section",
        ),
        pytest.param(
            "routing_preferences:\n- nme: debugging\n  description: stack traces, error messages and failing tests\n",
            "FILE:2: routing_preferences[0].name: is missing; add it: what the classifier answers; short, and in line "
            "with the description\n"
            "FILE:2: routing_preferences[0].nme: is not a known key; did you mean name?",
            id="a misspelt key",
        ),
        pytest.param(
            "routing_preferences: debugging\n",
            "FILE:1: routing_preferences: is a text; write a list: its entries on the lines below, each after a dash",
            id="no list",
        ),
    ],
)
def test_a_wrong_file_is_told_with_line_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_routes(path)
    assert str(raised.value).replace(str(path), "FILE") == message
