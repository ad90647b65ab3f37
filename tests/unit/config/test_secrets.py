"""A key never leaves the configuration but through `get_secret_value`."""

from __future__ import annotations

import json
import pickle

import pytest

from router_service.config.load import Loaded, loads
from router_service.config.schema import json_schema
from router_service.errors import ConfigError

FILE = """
model_providers:
  - model: openai/gpt-5
    access_key: $OPENAI_API_KEY
    default: true
    headers: {X-Note: "Bearer ${TOKEN} and secret-literal"}
  - model: openai/o3
    access_key: secret-literal
"""
ENVIRON = {"OPENAI_API_KEY": "secret-openai", "TOKEN": "secret-token"}


def _loaded() -> Loaded:
    return loads(FILE, ENVIRON)


def test_the_secrets_are_there() -> None:
    first, second = _loaded().config.model_providers
    assert first.access_key is not None
    assert first.access_key.get_secret_value() == "secret-openai"
    assert first.headers["X-Note"].get_secret_value() == "Bearer secret-token and secret-literal"
    assert second.access_key is not None
    assert second.access_key.get_secret_value() == "secret-literal"


def test_no_secret_is_in_what_a_configuration_prints_as() -> None:
    loaded = _loaded()
    said = [repr(loaded), str(loaded.config), f"{loaded.config.model_providers}", loaded.config.model_dump_json()]
    assert "secret" not in " ".join(said).replace("SecretStr", "").replace("pydantic_core", "")


def test_no_secret_is_in_the_schema() -> None:
    assert "secret" not in json.dumps(json_schema())


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("    name: [1]\n", id="another key of the entry is wrong"),
        pytest.param("    headers: secret-literal\n", id="headers are a text"),
        pytest.param("    headers: {X-Note: [secret-literal]}\n", id="a header is a list"),
        pytest.param("    access-key: secret-literal\n", id="the key's name is misspelt"),
        pytest.param("    base_url: https://me:secret-literal@host\n", id="a password in the address"),
        pytest.param("  - secret-literal\n", id="a key where an entry belongs"),
        pytest.param("router: secret-literal\n", id="a key where a section belongs"),
    ],
)
def test_no_secret_is_in_an_error(broken: str) -> None:
    with pytest.raises(ConfigError) as error:
        loads(FILE + broken, ENVIRON)
    said = [str(error.value), repr(error.value), repr(error.value.problems), repr(error.value.__context__)]
    assert "secret" not in " ".join(said)
    assert b"secret" not in pickle.dumps(error.value.problems)


@pytest.mark.parametrize("written", ["$OPENAI_API_KEY", "${OPENAI_API_KEY}", "' $OPENAI_API_KEY '"])
def test_a_reference_has_two_spellings(written: str) -> None:
    loaded = loads(f'model_providers: [{{model: openai/gpt-5, access_key: "{written.strip(chr(39))}"}}]', ENVIRON)
    key = loaded.config.model_providers[0].access_key
    assert key is not None
    assert key.get_secret_value() == "secret-openai"


def test_spaces_around_a_key_in_the_environment_are_not_part_of_it() -> None:
    loaded = loads(FILE, {**ENVIRON, "OPENAI_API_KEY": " secret-openai\n"})
    key = loaded.config.model_providers[0].access_key
    assert key is not None
    assert key.get_secret_value() == "secret-openai"


def test_what_is_missing_is_listed_by_entry() -> None:
    assert loads(FILE, {}).missing == {"openai/gpt-5": ("OPENAI_API_KEY", "TOKEN")}
