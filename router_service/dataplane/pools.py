"""Which models are tried in which order, and what Envoy needs for each: pure, without Envoy's messages.

A cluster's first model's id is in the body when the request leaves the edge; a later member whose id differs has it
edited in its own internal listener.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router_service.config.build import build_catalog
from router_service.config.models import Config, ModelProvider
from router_service.routing.catalog import Target
from router_service.routing.orders import orders


@dataclass(frozen=True, slots=True)
class Pool:
    """`cluster` is what the service answers (`catalog.Pool.upstream`); `members` has at least two.

    `is_as_written` says that these are all of them in the order of the file, after which the cluster is called.
    """

    cluster: str
    members: tuple[Target, ...]
    is_as_written: bool = True


@dataclass(frozen=True, slots=True)
class Served:
    """A model with an internal listener of its own.

    `entry` says how to reach it: one of the file, or a copy that names one member of a wildcard. `credentials_of` is
    the key of the file's entry whose credentials it gets. `edits_model` says that attempts arrive here with another
    model's id in the body.
    """

    entry: ModelProvider
    credentials_of: str
    edits_model: bool


def pools(config: Config) -> tuple[Pool, ...]:
    """Every list of models that the service may answer with: preferences', aliases', models' with fallbacks."""
    return tuple(
        Pool(pool.upstream(order), tuple(pool.models[position] for position in order), order == pool.order)
        for pool in build_catalog(config).pools
        for order in orders(pool)
        if len(order) > 1  # one alone has a cluster of its own
    )


def served_models(config: Config) -> tuple[Served, ...]:
    """Every entry of the file, then each member of a wildcard that a pool names."""
    found = pools(config)
    edited = {
        member.key for pool in found for member in pool.members[1:] if member.model_id != pool.members[0].model_id
    }
    entries = {entry.key: entry for entry in config.model_providers}
    served = [Served(entry, entry.key, entry.key in edited) for entry in config.model_providers]
    for target in _wildcard_members(found):
        entry = entries[target.entry.key].model_copy(update={"model": target.model, "name": None})
        served.append(Served(entry, target.entry.key, entry.key in edited))
    return tuple(served)


def _wildcard_members(found: Sequence[Pool]) -> list[Target]:
    members = {target: None for pool in found for target in pool.members if target.key != target.entry.key}
    return list(members)
