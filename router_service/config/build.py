"""From a validated configuration to the routing core's catalogue."""

from __future__ import annotations

from types import MappingProxyType

from router_service.config.models import Config
from router_service.routing.catalog import Catalog, Model, Preference, Target
from router_service.routing.resolve import find_model


def build_catalog(config: Config) -> Catalog:
    """The catalogue of a configuration whose references have been checked (`references.check`)."""
    models = tuple(
        Model(key=entry.key, provider=entry.provider, id=entry.model_id, listed=not entry.internal)
        for entry in config.model_providers
    )
    bare = Catalog(models=models)
    default = next(
        (Target(model, model.id) for model, entry in zip(models, config.model_providers, strict=True) if entry.default),
        None,
    )
    preferences = tuple(
        Preference(
            name=preference.name,
            description=preference.description,
            models=tuple(find_model(bare, name) for name in preference.models),
            examples=tuple(preference.examples),
        )
        for preference in config.routing_preferences
    )
    return Catalog(
        models=models,
        aliases=MappingProxyType({name: alias.target for name, alias in config.model_aliases.items()}),
        preferences=preferences,
        default=default,
        auto_names=frozenset(config.routing.auto_names),
        override_explicit_model=config.routing.override_explicit_model,
    )
