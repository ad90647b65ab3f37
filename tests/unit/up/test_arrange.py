"""Who gets a stand-in, who is left out, and what that does to the rest of the file."""

import pytest

from router_service.config.environment import Unread
from router_service.config.load import Loaded, loads
from router_service.config.models import Config
from router_service.config.providers import endpoint
from router_service.up.arrange import Arrangement, Missing, arrange, measured_at, stand_in, worker_file

DEMO = """
model_providers:
  - model: openai/gpt-5.2
    access_key: $OPENAI_API_KEY
    default: true
  - model: openai/gpt-5
    access_key: $OPENAI_API_KEY
  - model: anthropic/claude-sonnet-4-5
    access_key: $ANTHROPIC_API_KEY
model_aliases:
  fast: {target: gpt-5.2}
  nice: {target: creative}
  creative: {target: claude-sonnet-4-5}
  any: {target: auto}
routing_preferences:
  - name: code generation
    description: generating new code snippets, functions, or boilerplate
    models: [anthropic/claude-sonnet-4-5, openai/gpt-5]
  - name: creative writing
    description: poems, stories and songs
    models: [anthropic/claude-sonnet-4-5]
"""
OPENAI = {"OPENAI_API_KEY": "sk-openai"}
ANTHROPIC = {"ANTHROPIC_API_KEY": "sk-anthropic"}


def arranged(environ: dict[str, str], text: str = DEMO) -> Arrangement:
    return arrange(loads(text, environ))


def models(config: Config) -> list[str]:
    return [entry.model for entry in config.model_providers]


def test_without_any_key_every_provider_gets_a_stand_in() -> None:
    arrangement = arranged({})

    assert arrangement.stand_ins == (
        Missing("openai", ("OPENAI_API_KEY",)),
        Missing("anthropic", ("ANTHROPIC_API_KEY",)),
    )
    assert arrangement.left_out == ()
    assert models(arrangement.config) == models(loads(DEMO, Unread()).config)


def test_with_every_key_nothing_changes() -> None:
    loaded = loads(DEMO, OPENAI | ANTHROPIC)

    assert arrange(loaded) == Arrangement(loaded.config)


def test_with_some_keys_the_others_are_left_out_with_whatever_led_to_them() -> None:
    arrangement = arranged(OPENAI)

    assert arrangement.stand_ins == ()
    assert arrangement.left_out == (Missing("anthropic", ("ANTHROPIC_API_KEY",)),)
    assert models(arrangement.config) == ["openai/gpt-5.2", "openai/gpt-5"]
    assert [(p.name, p.models) for p in arrangement.config.routing_preferences] == [
        ("code generation", ["openai/gpt-5"])
    ]
    assert set(arrangement.config.model_aliases) == {"fast", "any"}
    assert arrangement.consequences == (
        'preference "creative writing" is left out: none of its models has a key',
        'alias "nice" is left out: its model has no key',
        'alias "creative" is left out: its model has no key',
    )


POOLS = """
model_providers:
  - {model: openai/gpt-5, access_key: $OPENAI_API_KEY, default: true, fallbacks: [claude, groq/x]}
  - {model: anthropic/claude, access_key: $ANTHROPIC_API_KEY, fallbacks: [gpt-5]}
  - {model: groq/x, access_key: $GROQ_API_KEY}
model_aliases:
  either: {targets: [claude, gpt-5]}
  neither: {targets: [claude]}
"""


def test_models_without_a_key_leave_the_lists_that_they_stand_in() -> None:
    arrangement = arranged(OPENAI, POOLS)
    (entry,) = arrangement.config.model_providers
    assert entry.fallbacks == []
    assert {name: alias.targets for name, alias in arrangement.config.model_aliases.items()} == {"either": ["gpt-5"]}
    assert arrangement.consequences == ('alias "neither" is left out: its model has no key',)


def test_a_default_that_is_left_out_has_an_heir() -> None:
    arrangement = arranged(ANTHROPIC)

    (entry,) = arrangement.config.model_providers
    assert (entry.model, entry.default) == ("anthropic/claude-sonnet-4-5", True)
    assert arrangement.consequences[0] == (
        "the default model is anthropic/claude-sonnet-4-5, because openai/gpt-5.2 has no key"
    )


def test_a_wildcard_is_nobodys_heir() -> None:
    text = """
model_providers:
  - {model: openai/gpt-5, access_key: $OPENAI_API_KEY, default: true}
  - {model: groq/*, access_key: $GROQ_API_KEY}
"""
    arrangement = arranged({"GROQ_API_KEY": "gsk"}, text)

    assert not any(entry.default for entry in arrangement.config.model_providers)
    assert arrangement.consequences == (
        "there is no default model: openai/gpt-5 has no key, and no other model is named",
    )


LOCAL = """
model_providers:
  - {model: ollama/llama3, base_url: "http://127.0.0.1:11434"}
  - {model: openai/gpt-5, access_key: $OPENAI_API_KEY}
"""


def test_an_entry_that_names_no_key_is_not_missing_one() -> None:
    arrangement = arranged({}, LOCAL)

    assert [missing.provider for missing in arrangement.stand_ins] == ["openai"]
    real = stand_in(arrangement.config, frozenset({"openai/gpt-5"}), {"openai": 4000}).model_providers[0]
    assert real == arrangement.config.model_providers[0]


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        pytest.param(
            "{model: groq/x, access_key: $KEY}", "http://127.0.0.1:4000/openai/v1", id="the provider's prefix"
        ),
        pytest.param(
            "{model: qwen/x, access_key: $KEY, base_url: 'https://dashscope.example/compatible/v1'}",
            "http://127.0.0.1:4000/compatible/v1",
            id="the file's path",
        ),
        pytest.param(
            "{model: openai/x, access_key: $KEY, base_url: 'https://a.example/v2?q=1', http_host: b.example}",
            "http://127.0.0.1:4000/v2?q=1",
            id="the file's query, and its host not",
        ),
    ],
)
def test_a_stand_in_is_reached_at_the_provider_s_path_with_a_key_to_show(entry: str, where: str) -> None:
    loaded = loads(f"model_providers: [{entry}]", {})
    (entry_of,) = loaded.config.model_providers

    (moved,) = stand_in(loaded.config, frozenset(loaded.missing), {entry_of.provider: 4000}).model_providers

    found = endpoint(moved)
    query = f"?{found.query}" if found.query else ""
    assert f"{found.scheme}://{found.authority}{found.path_prefix}{query}" == where
    assert moved.access_key is not None
    assert moved.access_key.get_secret_value() == f"demo-key-of-{entry_of.provider}"


@pytest.mark.parametrize("environ", [{}, OPENAI, ANTHROPIC, OPENAI | ANTHROPIC])
def test_workers_load_what_was_arranged_and_no_secret(environ: dict[str, str]) -> None:
    config = arranged(environ).config
    text = worker_file(config)

    loaded: Loaded = loads(text, {})
    assert models(loaded.config) == models(config)
    assert loaded.catalog.aliases == {name: alias.target for name, alias in config.model_aliases.items()}
    assert [preference.name for preference in loaded.catalog.preferences] == [
        preference.name for preference in config.routing_preferences
    ]
    assert "sk-" not in text
    assert "API_KEY" not in text


RANKED = """
model_providers:
  - {model: openai/gpt-5, access_key: $OPENAI_API_KEY, default: true}
  - {model: openai/gpt-5-mini, access_key: $OPENAI_API_KEY}
  - {model: anthropic/claude, access_key: $ANTHROPIC_API_KEY}
model_aliases:
  lot: {targets: [gpt-5, claude, gpt-5-mini], selection_policy: {prefer: random, weights: {gpt-5: 2, claude: 3}}}
  fast: {targets: [gpt-5, claude], selection_policy: {prefer: fastest}}
  cheap: {targets: [gpt-5, gpt-5-mini], selection_policy: {prefer: cheapest}}
model_metrics_sources:
  - {type: cost, provider: models.dev}
"""


def test_a_model_that_is_left_out_has_no_weight() -> None:
    config = arranged(OPENAI, RANKED).config
    assert config.model_aliases["lot"].selection_policy.weights == {"gpt-5": 2}


@pytest.mark.parametrize(
    ("source", "urls"),
    [
        pytest.param("", [None, "http://127.0.0.1:1234"], id="none is named"),
        pytest.param("  - {type: latency, provider: envoy}", [None, "http://127.0.0.1:1234"], id="without an address"),
        pytest.param("  - {type: latency, provider: envoy, url: 'http://e:1'}", [None, "http://e:1"], id="with one"),
        pytest.param(
            "  - {type: latency, provider: prometheus, url: 'http://p:9090', query: up}",
            [None, "http://p:9090"],
            id="Prometheus",
        ),
    ],
)
def test_the_fastest_is_measured_by_the_envoy_that_is_started(source: str, urls: list[str | None]) -> None:
    config = measured_at(arranged(OPENAI, RANKED + source).config, "http://127.0.0.1:1234")
    assert [each.url for each in config.model_metrics_sources] == urls


def test_workers_load_policies_and_sources_as_they_were_written() -> None:
    config = measured_at(arranged(OPENAI, RANKED).config, "http://127.0.0.1:1234")
    loaded = loads(worker_file(config), {})
    assert loaded.config.model_metrics_sources == config.model_metrics_sources
    assert loaded.config.model_aliases == config.model_aliases
