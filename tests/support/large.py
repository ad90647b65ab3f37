"""A configuration file as large as a company's: many providers with a key each, several models of each, many pools."""

from __future__ import annotations

from collections.abc import Callable, Iterator

PROVIDERS = 50
MODELS = 200
PREFERENCES = 100
POOL_SIZE = 3


def public_api(provider: int) -> str:
    return f"https://api.provider-{provider}.test/v1"


def configuration(
    providers: int = PROVIDERS,
    models: int = MODELS,
    preferences: int = PREFERENCES,
    base_url: Callable[[int], str] = public_api,
) -> str:
    """Model `m` is `provider-P/model-m` with P = m modulo `providers`; provider P has its key in `$KEY_P`."""
    return "\n".join(_lines(providers, models, preferences, base_url))


def environment(providers: int = PROVIDERS) -> dict[str, str]:
    return {f"KEY_{provider}": f"sk-{provider}" for provider in range(providers)}


def model_name(model: int, providers: int = PROVIDERS) -> str:
    return f"provider-{model % providers}/model-{model}"


def _lines(providers: int, models: int, preferences: int, base_url: Callable[[int], str]) -> Iterator[str]:
    yield "listeners: [{name: egress, address: 127.0.0.1}]"
    yield "model_providers:"
    for model in range(models):
        provider = model % providers
        yield f"  - model: {model_name(model, providers)}"
        yield f"    base_url: {base_url(provider)}"
        yield f"    access_key: $KEY_{provider}"
    yield "routing_preferences:"
    for preference in range(preferences):
        first = preference * POOL_SIZE
        pool = [model_name((first + member) % models, providers) for member in range(POOL_SIZE)]
        yield f"  - name: preference {preference}"
        yield f"    description: requests of kind {preference}"
        yield f"    models: [{', '.join(pool)}]"
