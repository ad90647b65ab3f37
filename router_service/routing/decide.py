"""From a request's `model` to a decision, in at most two steps with a classifier's answer between them.

decide  ─► Decision                    the client named a model or an alias
        └► Undecided ─ask─► settle     nothing named (or routing.override_explicit_model): a preference, else …

Models that do not take the client's API are left out wherever several stand ready. A model that the client names itself
is never replaced: if that one does not take it, the request is refused. Those that are left are ranked in the `Moment`
of the decision, where they have a selection policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from router_service.errors import InvalidRequest, NoDefault, UnsupportedApi
from router_service.routing.api import CONVERSATIONS, Api
from router_service.routing.catalog import Catalog, Pool, Target
from router_service.routing.decision import Classification, Decision, Reason, Source
from router_service.routing.orders import order_for
from router_service.routing.ranking import Moment, Prefer
from router_service.routing.resolve import Auto, Named, resolve

_ANY_MOMENT = Moment()
_MOST_NAMED = 3  # models of one kind in an error


@dataclass(frozen=True, slots=True)
class Undecided:
    """A classifier has the word; `named` is what the client asked for, which stands if no preference matches."""

    api: Api = Api.CHAT
    named: Named | None = None
    moment: Moment = _ANY_MOMENT


def decide(
    catalog: Catalog, requested: str | None, api: Api = Api.CHAT, moment: Moment = _ANY_MOMENT
) -> Decision | Undecided:
    """The first step. Raises UnknownModel, InvalidRequest or UnsupportedApi for a name that cannot be served."""
    match resolve(catalog, requested):
        case Auto():
            if api not in CONVERSATIONS:
                raise InvalidRequest(
                    "This path is routed by name only: set 'model' to a model or an alias.", param="model"
                )
            return Undecided(api, moment=moment)
        case Named() as named:
            if catalog.override_explicit_model and api in CONVERSATIONS:
                return Undecided(api, named, moment)
            return _named(catalog, named, api, moment)


def settle(catalog: Catalog, undecided: Undecided, classification: Classification) -> Decision:
    """The second step. Raises NoDefault or UnsupportedApi when neither a preference nor a default has a model."""
    api, moment = undecided.api, undecided.moment
    if classification.route is not None:
        route = classification.route
        pool = catalog.pool_of(catalog.preferences_by_name[route])
        return _decision(
            catalog,
            pool,
            api,
            Source.PREFERENCE,
            Reason.MATCHED,
            moment=moment,
            route=route,
            classification=classification,
        )
    if undecided.named is not None:
        return _named(catalog, undecided.named, api, moment, classification)
    if catalog.default is None:
        raise _no_default(catalog)
    pool = catalog.alone(catalog.default)
    return _decision(
        catalog, pool, api, Source.DEFAULT, classification.reason, moment=moment, classification=classification
    )


def _named(
    catalog: Catalog, named: Named, api: Api, moment: Moment, classification: Classification | None = None
) -> Decision:
    if named.alias is None and api not in named.target.entry.apis:
        raise _unsupported_api(catalog, [named.target], api)
    source = Source.ALIAS if named.alias else Source.MODEL
    return _decision(
        catalog,
        named.pool,
        api,
        source,
        Reason.REQUESTED,
        moment=moment,
        route=named.alias,
        classification=classification,
    )


def _decision(
    catalog: Catalog,
    pool: Pool,
    api: Api,
    source: Source,
    reason: Reason,
    *,
    moment: Moment,
    route: str | None = None,
    classification: Classification | None = None,
) -> Decision:
    order = order_for(pool, api, moment)
    if not order:
        raise _unsupported_api(catalog, pool.models, api)
    first, *behind = (pool.models[position] for position in order)
    return Decision(
        target=first,
        upstream=pool.upstream(order),
        source=source,
        reason=reason,
        route=route,
        classification=classification,
        behind=tuple(behind),
        ranked_by=pool.policy.prefer if behind else Prefer.NONE,
    )


def _unsupported_api(catalog: Catalog, models: Sequence[Target], api: Api) -> UnsupportedApi:
    """Says which models do not take the API, which would, and where the same models can be asked."""
    chosen = _listed([target.model for target in models])
    who = f"{chosen} does not take" if len(models) == 1 else f"None of {chosen} takes"
    able = [model.name for model in catalog.models if model.listed and api in model.apis]
    name_one = f"name a model that does in 'model' ({_listed(able)})" if able else "no model here does"
    spoken = next((other for other in Api if other in CONVERSATIONS and _all_take(other, models)), None)
    elsewhere = f"; {chosen} can be asked at {spoken.path}" if spoken else ""
    return UnsupportedApi(f"{who} requests to {api.path}: {name_one}{elsewhere}.", param="model")


def _all_take(api: Api, models: Sequence[Target]) -> bool:
    return all(api in target.entry.apis for target in models)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


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
