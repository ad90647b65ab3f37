"""What a client's `model` means: a model, an alias, or "you choose".

Order (first match wins): a configured model by exact `provider/id`, entry name, bare id of a single provider, wildcard;
then an alias, followed to its end; then the auto names, an empty or a missing `model`. A model of one provider is never
served by another that happens to have the same id.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from itertools import chain, islice

from router_service.errors import InvalidRequest, UnknownModel
from router_service.routing.catalog import Catalog, Pool, Target

# A wildcard's member reaches a header, a log line and perhaps a path, so only what real model ids are made of.
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")


# What a hint may cost: a comparison takes about 10 µs, and other requests wait for it.
_MOST_COMPARED = 200
_LONGEST_COMPARED = 100


@dataclass(frozen=True, slots=True)
class Named:
    """The client named a model, or several by an alias; `alias` is what it wrote, where that was an alias."""

    pool: Pool
    alias: str | None = None

    @property
    def target(self) -> Target:
        """The model that is tried first."""
        return self.pool.models[0]


@dataclass(frozen=True, slots=True)
class Auto:
    """The router is to choose; `alias` is what the client wrote, where an alias pointed at an auto name."""

    alias: str | None = None


def resolve(catalog: Catalog, requested: str | None) -> Named | Auto:
    """The meaning of a request's `model`. Raises UnknownModel, or InvalidRequest for an ambiguous bare id."""
    if not requested or requested in catalog.auto_names:
        return Auto()
    alias, name = None, requested
    for _ in range(len(catalog.aliases) + 1):  # a ring of aliases would go on; `check` reports it
        target = match_model(catalog, name)
        if target is not None:
            return Named(catalog.alone(target), alias)
        if name in catalog.alias_targets:
            return Named(catalog.pool_of_alias(name), requested)
        if name not in catalog.aliases:
            break
        alias, name = requested, catalog.aliases[name]
        if name in catalog.auto_names:
            return Auto(alias)
    raise _unknown(catalog, name)


def find_model(catalog: Catalog, name: str) -> Target:
    """The model that `name` means, aliases aside. Raises UnknownModel, or InvalidRequest for an ambiguous bare id."""
    target = match_model(catalog, name)
    if target is None:
        raise _unknown(catalog, name)
    return target


def match_model(catalog: Catalog, name: str) -> Target | None:
    """`find_model` without its search for near names: None if there is none. Raises InvalidRequest as it does."""
    if name in catalog.by_name:
        return catalog.by_name[name]
    same_id = catalog.by_bare_id.get(name, ())
    if len(same_id) > 1:
        choices = " or ".join(sorted(target.model for target in same_id))
        raise InvalidRequest(f"The model '{name}' is offered by several providers: write {choices}.", param="model")
    if same_id:
        return same_id[0]
    provider, _, model_id = name.partition("/")
    wildcard = catalog.wildcards.get(provider)
    if wildcard is not None and _MODEL_ID.fullmatch(model_id):
        return Target(wildcard, model_id)
    return None


def _unknown(catalog: Catalog, name: str) -> UnknownModel:
    shown = name if len(name) <= 100 else f"{name[:100]}…"
    known = chain(catalog.alias_names, catalog.by_name, catalog.by_bare_id)
    alike = (other for other in known if other[:1].lower() == name[:1].lower())  # a typing error is rarely the first
    near = difflib.get_close_matches(name[:_LONGEST_COMPARED], list(islice(alike, _MOST_COMPARED)), n=3)
    hint = f" Did you mean {', '.join(near)}?" if near else " GET /v1/models lists what is served."
    return UnknownModel(f"The model '{shown}' does not exist here.{hint}", param="model")
