"""Any configuration written in the older shape means what the same configuration means in the newest."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from router_service.config.load import Loaded, loads

_MODELS = st.lists(
    st.sampled_from(["openai/a", "openai/b", "anthropic/a", "groq/c/d", "mistral/e", "xai/f"]), min_size=1, unique=True
)
_NAMES = ["code generation", "creative writing", "complex reasoning", "summaries of documents"]
_PORTS = st.integers(20000, 30000)


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[dict[str, object], dict[str, object]]:
    """The same configuration in both shapes."""
    models = draw(_MODELS)
    default = draw(st.sampled_from(models))
    wanted = {model: draw(st.lists(st.sampled_from(_NAMES), unique=True)) for model in models}
    aliases = {f"alias {place}": draw(st.sampled_from(models)) for place in range(draw(st.integers(0, 3)))}
    port, timeout = draw(_PORTS), draw(st.sampled_from(["30s", "2m", "500ms"]))

    def entry(model: str) -> dict[str, object]:
        return {"model": model, "access_key": "$KEY", "default": model == default}

    pools: dict[str, list[str]] = {}
    for model in models:
        for name in wanted[model]:
            pools.setdefault(name, []).append(model)
    old: dict[str, object] = {
        "version": draw(st.sampled_from(["v0.1", "v0.1.0", "0.1-beta", "0.2.0", "v0.3.0"])),
        "listeners": {"egress_traffic": {"port": port, "timeout": timeout, "message_format": "openai"}},
        "llm_providers": [
            {**entry(model), "routing_preferences": [{"name": name, "description": _about(name)} for name in names]}
            for model, names in wanted.items()
        ],
        "model_aliases": {alias: {"target": target} for alias, target in aliases.items()},
    }
    new: dict[str, object] = {
        "version": "v0.4.0",
        "listeners": [{"name": "egress_traffic", "type": "model", "port": port, "timeout": timeout}],
        "model_providers": [entry(model) for model in models],
        "routing_preferences": [
            {"name": name, "description": _about(name), "models": pool} for name, pool in pools.items()
        ],
        "model_aliases": aliases,
    }
    return old, new


def _about(name: str) -> str:
    return f"requests about {name} and nothing else"


def _load(file: dict[str, object]) -> Loaded:
    return loads(yaml.safe_dump(file, sort_keys=False), {"KEY": "k"})


@given(_pairs())
def test_both_shapes_of_a_configuration_load_as_equals(pair: tuple[dict[str, object], dict[str, object]]) -> None:
    old, new = (_load(file) for file in pair)
    assert old.config == new.config
    assert old.catalog == new.catalog
    assert [warning for warning in old.warnings if "description" not in warning.path] == []
