"""Which providers are real, which a demo provider stands in for, and which are left out. Pure.

A provider counts as missing when its entry names an environment variable that is not set:

- no key at all is set: a newcomer. Demo providers stand in for every missing one, so that everything can be tried.
- some keys are set: real work. Missing ones are left out rather than answered by a stand-in that looks real, and
  whatever pointed to them goes with them; every consequence is a line for the user.

Entries that name no key (an Ollama on this machine, `passthrough_auth`) are real in both cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from pydantic import SecretStr

from router_service.config.load import Loaded
from router_service.config.models import (
    Config,
    MetricsSource,
    ModelAlias,
    ModelProvider,
    RoutingPreference,
    SelectionPolicy,
)
from router_service.errors import RequestError
from router_service.routing.catalog import Catalog
from router_service.routing.resolve import Named, find_model, resolve

ROUTER_KEY_VARIABLE = "ROUTER_SERVICE_ROUTER_ACCESS_KEY"


@dataclass(frozen=True, slots=True)
class Missing:
    """A provider without its key, and the variables that would hold it."""

    provider: str
    variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """`config` is what will run. `consequences` say what leaving providers out did to the rest of the file."""

    config: Config
    stand_ins: tuple[Missing, ...] = ()
    left_out: tuple[Missing, ...] = ()
    consequences: tuple[str, ...] = ()


def arrange(loaded: Loaded) -> Arrangement:
    """Decide for every provider of a loaded file."""
    config, missing = loaded.config, loaded.missing
    if not missing:
        return Arrangement(config)
    providers = _by_provider(config, missing)
    has_a_key = any(entry.access_key is not None and entry.key not in missing for entry in config.model_providers)
    if not has_a_key:
        return Arrangement(config, stand_ins=providers)
    pruned, consequences = leave_out(config, loaded.catalog, frozenset(missing))
    return Arrangement(pruned, left_out=providers, consequences=consequences)


def _by_provider(config: Config, missing: Mapping[str, tuple[str, ...]]) -> tuple[Missing, ...]:
    found: dict[str, dict[str, None]] = {}
    for entry in config.model_providers:
        if entry.key in missing:
            found.setdefault(entry.provider, {}).update(dict.fromkeys(missing[entry.key]))
    return tuple(Missing(provider, tuple(variables)) for provider, variables in found.items())


def stand_in(config: Config, missing: frozenset[str], ports: Mapping[str, int]) -> Config:
    """`config` with the entries in `missing` at the demo providers, each with a key of its own to show.

    `ports` has one per provider, on this machine. A path that the file gives stays, so that it can be seen to arrive.
    """

    def replaced(entry: ModelProvider) -> ModelProvider:
        if entry.key not in missing:
            return entry
        own = urlsplit(entry.base_url or "")
        query = f"?{own.query}" if own.query else ""
        return entry.model_copy(
            update={
                "base_url": f"http://127.0.0.1:{ports[entry.provider]}{own.path}{query}",
                "http_host": None,
                "access_key": SecretStr(f"demo-key-of-{entry.provider}"),
            }
        )

    return config.model_copy(update={"model_providers": [replaced(entry) for entry in config.model_providers]})


def measured_at(config: Config, envoy_admin: str) -> Config:
    """`config` with the address of the Envoy that is started, wherever its measurements are read and none is given."""
    policies = [
        *(preference.selection_policy for preference in config.routing_preferences),
        *(alias.selection_policy for alias in config.model_aliases.values()),
    ]
    sources = [
        source.model_copy(update={"url": envoy_admin}) if source.provider == "envoy" and source.url is None else source
        for source in config.model_metrics_sources
    ]
    is_ranked = any(policy.prefer == "fastest" for policy in policies)
    if is_ranked and not any(source.type == "latency" for source in sources):
        sources.append(MetricsSource(type="latency", provider="envoy", url=envoy_admin))
    return config.model_copy(update={"model_metrics_sources": sources})


def worker_file(config: Config) -> str:
    """`config` as the file that workers load: everything that routing reads, and no secret.

    The routing model's own key they find in the environment, as ROUTER_KEY_VARIABLE.
    """
    router = config.router
    if router.access_key is not None:
        router = router.model_copy(update={"access_key": f"${ROUTER_KEY_VARIABLE}"})
    return config.model_copy(update={"router": router}).model_dump_json(
        exclude={"model_providers": {"__all__": {"access_key", "headers"}}}, exclude_none=True, warnings="none"
    )


def leave_out(config: Config, catalog: Catalog, keys: frozenset[str]) -> tuple[Config, tuple[str, ...]]:
    """`config` without the entries `keys` and everything that only led to them; and what that was, for the user."""
    consequences: list[str] = []
    entries, note = _remaining(config, keys)
    consequences += note

    def kept(names: Sequence[str]) -> list[str]:
        return [name for name in names if find_model(catalog, name).entry.key not in keys]

    def weighed(policy: SelectionPolicy) -> SelectionPolicy:
        return policy.model_copy(update={"weights": {name: policy.weights[name] for name in kept([*policy.weights])}})

    preferences = [
        preference.model_copy(
            update={"models": kept(preference.models), "selection_policy": weighed(preference.selection_policy)}
        )
        for preference in config.routing_preferences
    ]
    consequences += [
        f'preference "{preference.name}" is left out: none of its models has a key'
        for preference in preferences
        if not preference.models
    ]
    aliases = {
        name: alias.model_copy(
            update={"targets": kept(alias.targets), "selection_policy": weighed(alias.selection_policy)}
        )
        for name, alias in config.model_aliases.items()
        if _alias_is_kept(catalog, name, keys)
    }
    consequences += [
        f'alias "{name}" is left out: its model has no key' for name in config.model_aliases if name not in aliases
    ]
    update: Mapping[str, list[ModelProvider] | list[RoutingPreference] | dict[str, ModelAlias]] = {
        "model_providers": [entry.model_copy(update={"fallbacks": kept(entry.fallbacks)}) for entry in entries],
        "routing_preferences": [preference for preference in preferences if preference.models],
        "model_aliases": aliases,
    }
    return config.model_copy(update=update), tuple(consequences)


def _remaining(config: Config, keys: frozenset[str]) -> tuple[list[ModelProvider], list[str]]:
    """The entries that are kept, one of them the default if one was, and what became of the default."""
    entries = [entry for entry in config.model_providers if entry.key not in keys]
    gone = next((entry for entry in config.model_providers if entry.default and entry.key in keys), None)
    if gone is None:
        return entries, []
    heir = next((entry for entry in entries if entry.model_id != "*"), None)
    if heir is None:
        return entries, [f"there is no default model: {gone.model} has no key, and no other model is named"]
    chosen = [entry.model_copy(update={"default": True}) if entry is heir else entry for entry in entries]
    return chosen, [f"the default model is {heir.model}, because {gone.model} has no key"]


def _alias_is_kept(catalog: Catalog, alias: str, keys: frozenset[str]) -> bool:
    try:
        meaning = resolve(replace(catalog, fallbacks={}), alias)
    except RequestError:  # an alias that leads nowhere does so with or without keys
        return True
    return not isinstance(meaning, Named) or any(target.entry.key not in keys for target in meaning.pool.models)
