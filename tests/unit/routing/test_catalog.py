"""The pools of a catalogue, and the names of the clusters that try them."""

from __future__ import annotations

import pytest

from router_service.routing.catalog import Catalog, Model, Pool, Preference, Target
from router_service.routing.ranking import AS_WRITTEN, Prefer, SelectionPolicy

A, B, C = (Target(Model(f"p/{id_}", "p", id_), id_) for id_ in "abc")
WILD = Model("w/*", "w", "*")


@pytest.mark.parametrize(
    ("order", "upstream"),
    [
        pytest.param((0, 1, 2), "pool/x", id="all as they stand"),
        pytest.param((2, 0, 1), "pool/x~2.0.1", id="all in another order"),
        pytest.param((0, 2), "pool/x~0.2", id="some"),
        pytest.param((1,), "model/p/b", id="one alone"),
    ],
)
def test_every_order_of_a_pool_has_a_cluster_of_its_own(order: tuple[int, ...], upstream: str) -> None:
    assert Pool("pool/x", (A, B, C)).upstream(order) == upstream


def test_pools_are_what_has_more_than_one_model() -> None:
    catalog = Catalog(
        models=(A.entry, B.entry, C.entry),
        alias_targets={"two": (A, B), "one": (A,)},
        preferences=(Preference("both", "", (B, C)), Preference("c", "", (C,)), Preference("a", "", (A,))),
        fallbacks={"p/c": (A,)},
    )
    assert catalog.pools == (
        Pool("pool/both", (B, C)),
        Pool("fallback/p/c", (C, A)),
        Pool("alias/two", (A, B)),
    )


def test_the_fallbacks_of_a_wildcard_are_one_pool_for_all_of_its_members() -> None:
    one, other = Target(WILD, "one"), Target(WILD, "other")
    catalog = Catalog(models=(WILD, A.entry), preferences=(Preference("x", "", (one,)),), fallbacks={"w/*": (A,)})
    assert catalog.pools == (Pool("fallback/w/*", (Target(WILD, "*"), A)),)
    assert catalog.alone(one).upstream((0, 1)) == catalog.alone(other).upstream((0, 1)) == "fallback/w/*"


def test_the_policy_of_a_preference_or_an_alias_is_its_pools() -> None:
    cheapest, by_lot = SelectionPolicy(Prefer.CHEAPEST), SelectionPolicy(Prefer.RANDOM, (1.0, 3.0))
    catalog = Catalog(
        models=(A.entry, B.entry, C.entry),
        alias_targets={"two": (A, B), "other": (B, A)},
        alias_policies={"two": by_lot},
        preferences=(Preference("both", "", (B, C), policy=cheapest), Preference("one", "", (A,), policy=cheapest)),
    )
    assert {pool.name: pool.policy for pool in catalog.pools} == {
        "pool/both": cheapest,
        "alias/two": by_lot,
        "alias/other": AS_WRITTEN,
    }
