"""From a request's `model` to a decision, in at most two steps with a classifier's answer between them.

decide  ─► Decision                    the client named a model or an alias
        └► Undecided ─ask─► settle     nothing named (or routing.override_explicit_model): a preference, else …
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from router_service.errors import NoDefault
from router_service.routing.catalog import Catalog, Pool
from router_service.routing.decision import Classification, Decision, Reason, Source
from router_service.routing.resolve import Auto, Named, resolve


@dataclass(frozen=True, slots=True)
class Undecided:
    """A classifier has the word; `named` is what the client asked for, which stands if no preference matches."""

    named: Decision | None = None


def decide(catalog: Catalog, requested: str | None) -> Decision | Undecided:
    """The first step. Raises UnknownModel or InvalidRequest for a name that cannot be served."""
    match resolve(catalog, requested):
        case Auto():
            return Undecided()
        case Named(pool, alias):
            source = Source.ALIAS if alias else Source.MODEL
            named = _decision(pool, source, Reason.REQUESTED, route=alias)
            return Undecided(named) if catalog.override_explicit_model else named


def settle(catalog: Catalog, undecided: Undecided, classification: Classification) -> Decision:
    """The second step. Raises NoDefault when neither a preference nor a default has a model."""
    if classification.route is not None:
        route = classification.route
        pool = catalog.pool_of(catalog.preferences_by_name[route])
        return _decision(pool, Source.PREFERENCE, Reason.MATCHED, route=route, classification=classification)
    if undecided.named is not None:
        return replace(undecided.named, classification=classification)
    if catalog.default is None:
        raise _no_default(catalog)
    pool = catalog.alone(catalog.default)
    return _decision(pool, Source.DEFAULT, classification.reason, classification=classification)


def _decision(
    pool: Pool,
    source: Source,
    reason: Reason,
    *,
    route: str | None = None,
    classification: Classification | None = None,
) -> Decision:
    order = pool.order
    return Decision(
        target=pool.models[order[0]],
        upstream=pool.upstream(order),
        source=source,
        reason=reason,
        route=route,
        classification=classification,
    )


def _no_default(catalog: Catalog) -> NoDefault:
    if not catalog.preferences:
        return NoDefault(
            "Nothing says which model to use: name one in 'model', or have the router's configuration set "
            "routing_preferences or a provider with 'default: true'.",
            param="model",
        )
    return NoDefault(
        "No routing preference fits this request and there is no default model: name one in 'model', or have the "
        "router's configuration mark a provider with 'default: true'.",
        param="model",
    )
