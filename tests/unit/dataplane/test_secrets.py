from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.config.models import ModelProvider
from router_service.config.providers import endpoint
from router_service.dataplane.protojson import to_json
from router_service.dataplane.secrets import Credential, credentials, file_stem, secret, shared_credentials


def credentials_of(entry: dict[str, object], *, is_missing: bool = False) -> tuple[Credential, ...]:
    parsed = ModelProvider.model_validate({"model": "openai/gpt-5", **entry})
    return credentials(parsed, endpoint(parsed), is_missing=is_missing)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        pytest.param({}, [], id="no key"),
        pytest.param({"access_key": "sk-1"}, [("key/openai/gpt-5", "authorization", "Bearer ", "sk-1")], id="Bearer"),
        pytest.param(
            {"access_key": "sk-1", "name": "mine"}, [("key/mine", "authorization", "Bearer ", "sk-1")], id="name"
        ),
        pytest.param(
            {"model": "azure_openai/g", "base_url": "https://r.test", "access_key": "k"},
            [("key/azure_openai/g", "api-key", "", "k")],
            id="Azure's header",
        ),
        pytest.param(
            {"passthrough_auth": True, "headers": {"X-Team": "search"}},
            [("header/openai/gpt-5/x-team", "x-team", "", "search")],
            id="its own headers, without a key",
        ),
    ],
)
def test_an_entry_has(entry: dict[str, object], expected: list[tuple[str, str, str, str]]) -> None:
    found = credentials_of(entry)
    assert [(each.name, each.header, each.header_prefix, each.value) for each in found] == expected


def test_where_a_variable_is_missing_every_credential_is_there_and_empty() -> None:
    found = credentials_of({"headers": {"X-Team": "search"}}, is_missing=True)
    assert [(each.name, each.value) for each in found] == [
        ("key/openai/gpt-5", ""),
        ("header/openai/gpt-5/x-team", ""),
    ]
    assert to_json(secret(found[0]))["generic_secret"] == {"secret": {"inline_string": ""}}


def test_equal_credentials_of_a_provider_are_one_secret_with_the_first_entrys_name() -> None:
    entries = [
        {"model": "openai/gpt-5", "access_key": "sk-1", "headers": {"X-Team": "search"}},
        {"model": "openai/gpt-5-mini", "access_key": "sk-1", "headers": {"x-team": "search"}},
        {"model": "openai/gpt-4o", "access_key": "sk-2", "headers": {"X-Org": "search"}},
        {"model": "groq/llama", "access_key": "sk-1"},
        {"model": "openai/o3", "headers": {"X-Team": "other"}},
    ]
    found = shared_credentials(map(ModelProvider.model_validate, entries), missing={"openai/o3"})
    assert {key: [each.name for each in own] for key, own in found.items()} == {
        "openai/gpt-5": ["key/openai/gpt-5", "header/openai/gpt-5/x-team"],
        "openai/gpt-5-mini": ["key/openai/gpt-5", "header/openai/gpt-5/x-team"],
        "openai/gpt-4o": ["key/openai/gpt-4o", "header/openai/gpt-4o/x-org"],
        "groq/llama": ["key/groq/llama"],
        "openai/o3": ["key/openai/o3", "header/openai/o3/x-team"],
    }


def test_a_credential_does_not_print_its_value() -> None:
    assert "sk-1" not in repr(credentials_of({"access_key": "sk-1"}))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        pytest.param("key/openai/gpt-5.2", "key_openai_gpt-5.2", id="plain"),
        pytest.param(
            "key/openrouter/meta-llama/llama-3.3", "key_openrouter_meta-llama_llama-3.3", id="slash in the id"
        ),
        pytest.param("key/together_ai/x", "key_together_ai_x-4865b774", id="an underscore could be a slash"),
        pytest.param("key/openai/*", "key_openai__-c4a8cd9f", id="wildcard"),
    ],
)
def test_a_secrets_file_is_named_after_it(name: str, stem: str) -> None:
    assert file_stem(name) == stem


@given(st.lists(st.text(alphabet="ab_/*.é", min_size=1), unique=True))
def test_no_two_secrets_share_a_file_and_every_name_suits_a_kubernetes_secret(names: list[str]) -> None:
    """Stems are distinct and of the characters that a Secret's keys may have."""
    stems = [file_stem(f"key/{name}") for name in names]
    assert len(set(stems)) == len(names)
    assert all(re.fullmatch(r"[-._A-Za-z0-9]{1,160}", stem) for stem in stems)
