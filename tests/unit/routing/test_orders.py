"""Which models of a pool a request may use."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.routing.api import OPENAI_COMPATIBLE, Api
from router_service.routing.catalog import Model, Pool, Target
from router_service.routing.orders import order_for, orders
from router_service.routing.ranking import Moment, Prefer, SelectionPolicy, Standings

OPENAI = frozenset({*OPENAI_COMPATIBLE, Api.RESPONSES})
ANTHROPIC = frozenset({*OPENAI_COMPATIBLE, Api.MESSAGES})
MESSAGES = frozenset({Api.MESSAGES})


def pool_of(*apis: frozenset[Api]) -> Pool:
    models = [replace(Model(f"p/{number}", "p", f"{number}"), apis=each) for number, each in enumerate(apis)]
    return Pool("pool/x", tuple(Target(model, model.id) for model in models))


@pytest.mark.parametrize(
    ("pool", "api", "order"),
    [
        pytest.param(pool_of(OPENAI, ANTHROPIC), Api.CHAT, (0, 1), id="all of them"),
        pytest.param(pool_of(OPENAI, ANTHROPIC, OPENAI), Api.RESPONSES, (0, 2), id="those that take it, as they stand"),
        pytest.param(pool_of(OPENAI, ANTHROPIC), Api.MESSAGES, (1,), id="one"),
        pytest.param(pool_of(OPENAI), Api.MESSAGES, (), id="none"),
    ],
)
def test_a_model_that_does_not_take_the_api_is_left_out(pool: Pool, api: Api, order: tuple[int, ...]) -> None:
    assert order_for(pool, api, Moment()) == order


@pytest.mark.parametrize(
    ("pool", "found"),
    [
        pytest.param(pool_of(OPENAI, OPENAI), ((0, 1),), id="of one kind: as it stands"),
        pytest.param(pool_of(OPENAI, ANTHROPIC, OPENAI), ((0, 1, 2), (1,), (0, 2)), id="of two kinds"),
        pytest.param(pool_of(MESSAGES, OPENAI), ((1,), (0,)), id="nothing in common"),
    ],
)
def test_a_pool_is_split_only_where_its_models_differ(pool: Pool, found: tuple[tuple[int, ...], ...]) -> None:
    assert orders(pool) == found


@given(st.lists(st.frozensets(st.sampled_from(Api)), min_size=1, max_size=4))
def test_every_order_that_a_request_gets_is_among_the_orders(apis: list[frozenset[Api]]) -> None:
    # Invariant: `orders` is exactly what `order_for` gives for some API, each once; none is empty.
    pool = pool_of(*apis)
    found = orders(pool)
    assert set(found) == {order_for(pool, api, Moment()) for api in Api} - {()}
    assert len(set(found)) == len(found)


@given(
    st.lists(st.frozensets(st.sampled_from(Api)), min_size=1, max_size=6),
    st.sampled_from(Prefer),
    st.dictionaries(st.integers(0, 5).map("p/{}".format), st.floats(0, 9)),
    st.floats(0, 1, exclude_max=True),
)
def test_however_models_rank_those_that_take_the_api_have_a_cluster(
    apis: list[frozenset[Api]], prefer: Prefer, known: dict[str, float], draw: float
) -> None:
    # Invariant: what ranks at any moment for any API is among the `orders`, and leaves nobody else out.
    pool = replace(pool_of(*apis), policy=SelectionPolicy(prefer))
    for api in Api:
        order = order_for(pool, api, Moment(Standings(known, known, 0.05), draw))
        assert sorted(order) == [position for position, each in enumerate(apis) if api in each]
        assert order in {*orders(pool), ()}
