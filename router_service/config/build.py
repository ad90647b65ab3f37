"""From a validated configuration to the routing core's catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from router_service.config.models import Config, SelectionPolicy
from router_service.config.providers import apis
from router_service.routing import ranking
from router_service.routing.catalog import Catalog, Model, Preference, Target
from router_service.routing.ranking import Prefer
from router_service.routing.resolve import find_model


def build_catalog(config: Config) -> Catalog:
    """The catalogue of a configuration whose references have been checked (`references.check`)."""
    models = tuple(
        Model(
            key=entry.key,
            provider=entry.provider,
            id=entry.model_id,
            listed=not entry.internal,
            apis=apis(entry),
        )
        for entry in config.model_providers
    )
    bare = Catalog(models=models)

    def targets(names: Sequence[str]) -> tuple[Target, ...]:
        return tuple(find_model(bare, name) for name in names)

    def policy(written: SelectionPolicy, models: Sequence[str]) -> ranking.SelectionPolicy:
        weights = {find_model(bare, name): weight for name, weight in written.weights.items()}
        of_each = tuple(weights.get(target, 1.0) for target in targets(models)) if weights else ()
        return ranking.SelectionPolicy(Prefer(written.prefer), of_each)

    default = next(
        (Target(model, model.id) for model, entry in zip(models, config.model_providers, strict=True) if entry.default),
        None,
    )
    preferences = tuple(
        Preference(
            name=preference.name,
            description=preference.description,
            models=targets(preference.models),
            examples=tuple(preference.examples),
            policy=policy(preference.selection_policy, preference.models),
        )
        for preference in config.routing_preferences
    )
    aliases = config.model_aliases.items()
    return Catalog(
        models=models,
        aliases=MappingProxyType({name: alias.target for name, alias in aliases if alias.target is not None}),
        alias_targets=MappingProxyType({name: targets(alias.targets) for name, alias in aliases if alias.targets}),
        alias_policies=MappingProxyType(
            {name: policy(alias.selection_policy, alias.targets) for name, alias in aliases if alias.targets}
        ),
        fallbacks=MappingProxyType(
            {entry.key: targets(entry.fallbacks) for entry in config.model_providers if entry.fallbacks}
        ),
        preferences=preferences,
        default=default,
        auto_names=frozenset(config.routing.auto_names),
        override_explicit_model=config.routing.override_explicit_model,
    )
