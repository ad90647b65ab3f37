"""The `router` section: the model server's addresses, its key, and room for its prompt."""

from __future__ import annotations

import pytest

from router_service.config.load import Loaded, loads
from router_service.errors import ConfigError

MODELS = "model_providers:\n  - {model: ollama/llama, base_url: 'http://localhost:11434', default: true}\n"


def router(section: str, rest: str = "", environ: dict[str, str] | None = None) -> Loaded:
    return loads(f"{MODELS}router: {section}\n{rest}", environ or {}, file="c.yaml")


def problems(section: str, rest: str = "") -> str:
    with pytest.raises(ConfigError) as error:
        router(section, rest)
    return str(error.value)


@pytest.mark.parametrize(
    ("written", "urls"),
    [
        pytest.param("http://a:8000", ["http://a:8000"], id="one"),
        pytest.param("['http://a:8000', 'http://b:8000']", ["http://a:8000", "http://b:8000"], id="several"),
    ],
)
def test_a_model_server_has_one_address_or_several(written: str, urls: list[str]) -> None:
    assert router(f"{{backend: vllm, url: {written}}}").config.router.url == urls


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        pytest.param(
            "{backend: vllm}",
            "c.yaml:3: router.url: is missing: backend vllm asks a model server; "
            "write its address, like http://arch-router:8000",
            id="no address",
        ),
        pytest.param(
            "{backend: vllm, url: arch-router}",
            "c.yaml:3: router.url: does not start with http:// or https://; write it like http://arch-router:8000",
            id="not an address",
        ),
        pytest.param(
            "{backend: vllm, url: ['http://a', 'b']}",
            "c.yaml:3: router.url[1]: does not start with http:// or https://; write it like http://arch-router:8000",
            id="the second is not an address",
        ),
    ],
)
def test_an_address_that_cannot_be_used_is_an_error_at_its_place(section: str, problem: str) -> None:
    assert problems(section) == problem


def test_the_model_servers_key_comes_from_the_environment() -> None:
    section = "{backend: openai, url: 'http://a', access_key: $KEY}"
    key = router(section, environ={"KEY": "sk-1"}).config.router.access_key
    assert key is not None
    assert key.get_secret_value() == "sk-1"
    loaded = router(section)
    assert loaded.config.router.access_key is None
    assert [(warning.path, warning.what) for warning in loaded.warnings] == [
        ("router.access_key", "the environment variable KEY is not set")
    ]


def test_preferences_that_fill_the_prompt_are_an_error_that_says_what_would_do() -> None:
    words = "a description of many words " * 40
    preferences = f"routing_preferences: [{{name: long, description: '{words}', models: [llama]}}]\n"
    limits = "limits: {max_prompt_tokens: 512}\n"
    section = "{backend: vllm, url: 'http://a:8000'}"
    error = problems(section, preferences + limits)
    assert error.startswith("c.yaml:5: limits.max_prompt_tokens: is 512, but the prompt with its preferences needs ")
    needed = error.split("needs ")[1].split(";")[0]
    router(section, preferences + f"limits: {{max_prompt_tokens: {needed}}}\n")
    router("{backend: embedded}", preferences + limits)
