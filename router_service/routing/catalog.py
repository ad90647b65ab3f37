"""What can be served: models, aliases, preferences, the default. Built once per configuration, never changed.

Owns the names of things, those of Envoy's clusters among them; finding what a client meant is `resolve`.

    model/<entry>        one model
    pool/<preference>    a preference's models, tried in their order
    alias/<alias>        an alias' targets, tried in their order
    fallback/<entry>     a model and its fallbacks, tried in their order
    <pool>~2.0.1         the same models in another order: the third, the first, the second
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from router_service.routing.api import OPENAI_COMPATIBLE, Api
from router_service.routing.ranking import AS_WRITTEN, Order, SelectionPolicy

WILDCARD = "*"


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of `model_providers`.

    `key` is unique in the file: the entry's `name`, or its `provider/id`. It names the Envoy objects of the entry
    (`model/<key>`, `key/<key>`) and stands in metric labels, where a wildcard's members count as one. `listed` says
    whether GET /v1/models shows it; `apis` are those that it takes requests in.
    """

    key: str
    provider: str
    id: str
    listed: bool = True
    apis: frozenset[Api] = OPENAI_COMPATIBLE

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

    @property
    def key(self) -> str:
        """Names what this model alone has, as a pool's member: the entry's key, `provider/id` for one of a wildcard."""
        return self.model if self.entry.is_wildcard and self.model_id != WILDCARD else self.entry.key


@dataclass(frozen=True, slots=True)
class Preference:
    """One of the user's `routing_preferences`; `models` as written, never empty; `policy` says which is tried first."""

    name: str
    description: str
    models: tuple[Target, ...]
    examples: tuple[str, ...] = ()
    policy: SelectionPolicy = AS_WRITTEN


@dataclass(frozen=True, slots=True)
class Pool:
    """Models that are tried one after the other for one request, at least one.

    `name` is the Envoy cluster that tries all of `models` as they stand; `policy` says in which order they are tried.
    """

    name: str
    models: tuple[Target, ...]
    policy: SelectionPolicy = AS_WRITTEN

    @property
    def order(self) -> Order:
        """All of them, as they stand."""
        return tuple(range(len(self.models)))

    def upstream(self, order: Sequence[int]) -> str:
        """The Envoy cluster that tries the models at these positions, in this order; one alone needs no pool."""
        if len(order) == 1:
            return self.models[order[0]].entry.upstream
        return self.name if tuple(order) == self.order else f"{self.name}~{'.'.join(map(str, order))}"


@dataclass(frozen=True)
class Catalog:
    """Everything a request can be routed to.

    `aliases` maps an alias to its target as written (another alias, a model's name, or an auto name), `alias_targets`
    one to several models, `alias_policies` one of these to how they are ordered. `fallbacks` are the models behind an
    entry, by its key.
    """

    models: tuple[Model, ...]
    aliases: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    alias_targets: Mapping[str, tuple[Target, ...]] = field(default_factory=lambda: MappingProxyType({}))
    alias_policies: Mapping[str, SelectionPolicy] = field(default_factory=lambda: MappingProxyType({}))
    fallbacks: Mapping[str, tuple[Target, ...]] = field(default_factory=lambda: MappingProxyType({}))
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

    def alone(self, target: Target) -> Pool:
        """The pool of a model that was chosen by itself: the model and its fallbacks."""
        return Pool(f"fallback/{target.entry.key}", (target, *self.fallbacks.get(target.entry.key, ())))

    def pool_of(self, preference: Preference) -> Pool:
        """A preference's models; one alone has its fallbacks behind it."""
        models = preference.models
        if len(models) == 1:
            return self.alone(models[0])
        return Pool(f"pool/{preference.name}", models, preference.policy)

    def pool_of_alias(self, alias: str) -> Pool:
        """The models of an alias in `alias_targets`; one alone has its fallbacks behind it."""
        targets = self.alias_targets[alias]
        if len(targets) == 1:
            return self.alone(targets[0])
        return Pool(f"alias/{alias}", targets, self.alias_policies.get(alias, AS_WRITTEN))

    @cached_property
    def pools(self) -> tuple[Pool, ...]:
        """Every pool of more than one model, once; a wildcard's own stands for all of its members."""
        found = (
            *(self.pool_of(preference) for preference in self.preferences),
            *(self.pool_of_alias(alias) for alias in self.alias_targets),
            *(self.alone(Target(model, model.id)) for model in self.models),
        )
        return tuple({pool.name: pool for pool in found if len(pool.models) > 1}.values())

    @cached_property
    def alias_names(self) -> tuple[str, ...]:
        """All of them, those that point at one name first."""
        return (*self.aliases, *self.alias_targets)

    @cached_property
    def preferences_by_name(self) -> Mapping[str, Preference]:
        return {preference.name: preference for preference in self.preferences}
