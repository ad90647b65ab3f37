"""Which models of a pool a request tries, in which order; and every order there can be, for Envoy's clusters.

An order is the models' positions in the pool (`catalog.Pool.upstream` names its cluster). What varies from request to
request chooses among them: the client's API, which leaves models out, and how the others rank by the pool's policy.
"""

from __future__ import annotations

from router_service.routing import ranking
from router_service.routing.api import Api
from router_service.routing.catalog import Pool
from router_service.routing.ranking import Moment, Order


def order_for(pool: Pool, api: Api, moment: Moment) -> Order:
    """The models that take `api`, as they rank at that moment; empty if none does."""
    return ranking.rank(_able(pool, api), [model.key for model in pool.models], pool.policy, moment)


def orders(pool: Pool) -> tuple[Order, ...]:
    """Every order that some request may get, once. None is empty."""
    able = (positions for api in Api if (positions := _able(pool, api)))
    return tuple(dict.fromkeys(order for positions in able for order in ranking.orders(positions, pool.policy)))


def _able(pool: Pool, api: Api) -> Order:
    """The models that take `api`, as they stand."""
    return tuple(position for position, model in enumerate(pool.models) if api in model.entry.apis)
