"""What can be served: models, aliases, preferences, the default. Built once per configuration, never changed.

Owns the names of things; finding what a client meant is `resolve`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of `model_providers`.

    `key` is unique in the file: the entry's `name`, or its `provider/id`. It names the Envoy objects of the entry
    (`model/<key>`, `key/<key>`) and stands in metric labels, where a wildcard's members count as one. `listed` says
    whether GET /v1/models shows it.
    """

    key: str
    provider: str
    id: str
    listed: bool = True

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.id}"

    @property
    def is_wildcard(self) -> bool:
        return self.id == WILDCARD

    @property
    def upstream(self) -> str:
        """The Envoy cluster that leads to this model's path, host and credential."""
        return f"model/{self.key}"


@dataclass(frozen=True, slots=True)
class Target:
    """One servable model: an entry, and the id that goes into the body (the member's own for a wildcard)."""

    entry: Model
    model_id: str

    @property
    def model(self) -> str:
        return f"{self.entry.provider}/{self.model_id}"


@dataclass(frozen=True, slots=True)
class Preference:
    """One of the user's `routing_preferences`; `models` in the order in which they are tried, never empty."""

    name: str
    description: str
    models: tuple[Target, ...]
    examples: tuple[str, ...] = ()

    @property
    def upstream(self) -> str:
        """The Envoy cluster that tries its models in order; a single model's own needs no pool."""
        return f"pool/{self.name}" if len(self.models) > 1 else self.models[0].entry.upstream


@dataclass(frozen=True)
class Catalog:
    """Everything a request can be routed to.

    `aliases` maps an alias to its target as written (another alias, a model's name, or an auto name).
    """

    models: tuple[Model, ...]
    aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    preferences: tuple[Preference, ...] = ()
    default: Target | None = None
    auto_names: frozenset[str] = frozenset({"auto"})
    override_explicit_model: bool = False

    @cached_property
    def by_name(self) -> Mapping[str, Target]:
        """`provider/id` and entry names of every model that is not a wildcard; the first entry of a file wins."""
        named: dict[str, Target] = {}
        for model in self.models:
            if not model.is_wildcard:
                target = Target(model, model.id)
                named.setdefault(model.name, target)
        for model in self.models:
            if not model.is_wildcard:
                named.setdefault(model.key, Target(model, model.id))
        return named

    @cached_property
    def by_bare_id(self) -> Mapping[str, tuple[Target, ...]]:
        """Models by the id alone; more than one where several providers have it."""
        bare: dict[str, tuple[Target, ...]] = {}
        for target in self.by_name.values():
            known = bare.get(target.model_id, ())
            if all(other.model != target.model for other in known):
                bare[target.model_id] = (*known, target)
        return bare

    @cached_property
    def wildcards(self) -> Mapping[str, Model]:
        """`provider/*` entries by provider; the first entry of a provider wins."""
        found: dict[str, Model] = {}
        for model in self.models:
            if model.is_wildcard:
                found.setdefault(model.provider, model)
        return found

    @cached_property
    def preferences_by_name(self) -> Mapping[str, Preference]:
        return {preference.name: preference for preference in self.preferences}
