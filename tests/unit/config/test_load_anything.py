"""Whatever a file holds, it loads or raises ConfigError: nothing else escapes, and nothing goes on for ever."""

from __future__ import annotations

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router_service.config.load import Loaded, loads
from router_service.config.models import Config, Listener, ModelProvider, Router, RoutingPreference
from router_service.config.not_served import NOT_SERVED
from router_service.errors import ConfigError, format_problem

_OLD_KEYS = ["llm_providers", "overrides", "endpoint", "protocol", "usage", "provider", "llm_routing_model"]
_KEYS = st.sampled_from(
    sorted(
        {
            *(
                key
                for model in (Config, ModelProvider, Listener, Router, RoutingPreference)
                for key in model.model_fields
            ),
            *(key for section in NOT_SERVED.values() for key in section),
            *_OLD_KEYS,
            "egress_traffic",
            "ingress_traffic",
            "target",
        }
    )
) | st.text(max_size=5)
_WORDS = st.sampled_from(
    [
        "openai/gpt-5",
        "gpt-5",
        "openai/*",
        "plano/x",
        "auto",
        "v0.3.0",
        "$KEY",
        "$",
        "30s",
        "vllm",
        "model",
        "http://h:1",
    ]
)
_SCALARS = st.none() | st.booleans() | st.integers(-1, 70000) | st.floats() | _WORDS | st.text(max_size=8)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=25,
)


def _load(text: str) -> Loaded | None:
    try:
        return loads(text, {"KEY": "secret-key"})
    except ConfigError as error:
        _check_problems(error)
        return None


def _check_problems(error: ConfigError) -> None:
    assert any(problem.severity == "error" for problem in error.problems)
    for problem in error.problems:
        line = format_problem("f", problem)
        assert line.isprintable()
        assert "pydantic" not in line
        assert "secret-key" not in line


@given(st.text())
def test_any_text_loads_or_is_a_config_error(text: str) -> None:
    _load(text)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_KEYS, _TREES, max_size=6))
def test_any_structure_of_known_words_loads_or_is_a_config_error(tree: dict[str, object]) -> None:
    _load(yaml.safe_dump(tree, allow_unicode=True))


@given(_TREES, st.sampled_from(sorted(Config.model_fields)))
def test_anything_beside_a_good_provider_loads_or_is_a_config_error(value: object, section: str) -> None:
    good = {"model_providers": [{"model": "openai/gpt-5", "access_key": "$KEY", "default": True}]}
    loaded = _load(yaml.safe_dump({**good, section: value}, allow_unicode=True))
    if loaded is not None:
        assert loaded.config.model_providers
        assert all(target.entry in loaded.catalog.models for p in loaded.catalog.preferences for target in p.models)
