"""Which models of a pool a request tries, in which order; and every order there can be, for Envoy's clusters.

An order is the models' positions in the pool (`catalog.Pool.upstream` names its cluster). What varies from request to
request chooses among them: the client's API.
"""

from __future__ import annotations

from router_service.routing.api import Api
from router_service.routing.catalog import Pool

Order = tuple[int, ...]


def order_for(pool: Pool, api: Api) -> Order:
    """The models that take `api`, as they stand; empty if none does."""
    return tuple(position for position, model in enumerate(pool.models) if api in model.entry.apis)


def orders(pool: Pool) -> tuple[Order, ...]:
    """Every order that some request may get, once. None is empty."""
    return tuple(dict.fromkeys(order for api in Api if (order := order_for(pool, api))))
