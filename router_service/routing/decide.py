"""From a request's `model` to a decision, in at most two steps with a classifier's answer between them.

decide  ─► Decision                    the client named a model or an alias
        └► Undecided ─ask─► settle     nothing named (or routing.override_explicit_model): a preference, else …
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from router_service.errors import NoDefault
from router_service.routing.catalog import Catalog
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
        case Named(target, alias):
            named = Decision(
                target=target,
                upstream=target.entry.upstream,
                source=Source.ALIAS if alias else Source.MODEL,
                reason=Reason.REQUESTED,
                route=alias,
            )
            return Undecided(named) if catalog.override_explicit_model else named


def settle(catalog: Catalog, undecided: Undecided, classification: Classification) -> Decision:
    """The second step. Raises NoDefault when neither a preference nor a default has a model."""
    if classification.route is not None:
        preference = catalog.preferences_by_name[classification.route]
        return Decision(
            target=preference.models[0],
            upstream=preference.upstream,
            source=Source.PREFERENCE,
            reason=Reason.MATCHED,
            route=classification.route,
            classification=classification,
        )
    if undecided.named is not None:
        return replace(undecided.named, classification=classification)
    if catalog.default is None:
        raise _no_default(catalog)
    return Decision(
        target=catalog.default,
        upstream=catalog.default.entry.upstream,
        source=Source.DEFAULT,
        reason=classification.reason,
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
