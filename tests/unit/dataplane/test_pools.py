"""Which models need a listener of their own, and which of them edit a body."""

from __future__ import annotations

from router_service.dataplane.pools import pools, served_models
from tests.unit.dataplane.rendered import config_of


def preference(name: str, *models: str) -> dict[str, object]:
    return {"name": name, "description": "requests of this kind", "models": list(models)}


def test_a_preference_with_one_model_is_no_pool() -> None:
    config = config_of({"model": "a/x"}, {"model": "b/y"}, routing_preferences=[preference("one", "a/x")])
    assert pools(config) == ()


def test_a_pool_keeps_the_order_of_its_preference() -> None:
    config = config_of(
        {"model": "a/x"}, {"model": "b/y", "name": "why"}, routing_preferences=[preference("two", "why", "a/x")]
    )
    [pool] = pools(config)
    assert (pool.cluster, [target.key for target in pool.members]) == ("pool/two", ["why", "a/x"])


def test_a_pool_has_a_cluster_for_each_choice_of_its_members_that_an_api_makes() -> None:
    config = config_of(
        {"model": "openai/x"},
        {"model": "anthropic/y"},
        {"model": "vllm/z", "base_url": "http://v:8000"},
        routing_preferences=[preference("mixed", "openai/x", "anthropic/y", "vllm/z")],
    )
    assert [(pool.cluster, [target.model for target in pool.members]) for pool in pools(config)] == [
        ("pool/mixed", ["openai/x", "anthropic/y", "vllm/z"]),
        ("pool/mixed~1.2", ["anthropic/y", "vllm/z"]),
        ("pool/mixed~0.2", ["openai/x", "vllm/z"]),
    ]


def test_only_a_later_member_with_another_id_edits() -> None:
    config = config_of(
        {"model": "a/x"},
        {"model": "b/y"},
        {"model": "c/x"},
        {"model": "d/z"},
        routing_preferences=[preference("pool", "a/x", "b/y", "c/x"), preference("one", "d/z")],
    )
    assert [model.edits_model for model in served_models(config)] == [False, True, False, False]


def test_a_member_of_a_wildcard_has_a_listener_of_its_own_and_the_wildcards_credentials() -> None:
    config = config_of(
        {"model": "a/x"},
        {"model": "w/*", "name": "wild", "base_url": "http://w:8000"},
        routing_preferences=[preference("pool", "a/x", "w/one", "w/two"), preference("again", "w/one", "a/x")],
    )
    members = served_models(config)[2:]
    assert [(model.entry.key, model.entry.base_url) for model in members] == [
        ("w/one", "http://w:8000"),
        ("w/two", "http://w:8000"),
    ]
    assert {model.credentials_of for model in members} == {"wild"}
    assert all(model.edits_model for model in members)


def test_a_wildcard_with_fallbacks_is_the_first_of_its_pool_with_its_own_listener() -> None:
    config = config_of({"model": "w/*", "fallbacks": ["a/x", "v/one"]}, {"model": "a/x"}, {"model": "v/*"})
    [pool] = pools(config)
    assert pool.cluster == "fallback/w/*"
    assert [target.key for target in pool.members] == ["w/*", "a/x", "v/one"]
    assert {model.entry.key: model.edits_model for model in served_models(config)} == {
        "w/*": False,
        "a/x": True,
        "v/*": False,
        "v/one": True,
    }


def test_a_pool_with_a_policy_has_a_cluster_for_every_order_and_its_first_may_come_later() -> None:
    ranked = {**preference("two", "a/x", "b/y"), "selection_policy": {"prefer": "random"}}
    config = config_of({"model": "a/x"}, {"model": "b/y"}, routing_preferences=[ranked])
    assert [(pool.cluster, [target.key for target in pool.members]) for pool in pools(config)] == [
        ("pool/two", ["a/x", "b/y"]),
        ("pool/two~1.0", ["b/y", "a/x"]),
    ]
    assert [model.edits_model for model in served_models(config)] == [True, True]
