from __future__ import annotations

from typing import Any

import pytest

from router_service.config.models import Listener
from router_service.dataplane.edge import CONNECTION_BUFFER_BYTES, edge_listener
from router_service.dataplane.headers import CLIENT_MAY_NOT_SEND, DECISION_HEADERS
from router_service.dataplane.protojson import to_json
from router_service.extproc.stream import READ_HEADERS
from router_service.extproc.wire import METADATA_NAMESPACE, MODEL_HEADER, UPSTREAM_HEADER, decision_fields
from router_service.routing.catalog import Model, Target
from router_service.routing.decision import Decision, Reason, Source
from tests.unit.dataplane.rendered import DEPLOYMENT, at, config_of


def edge(listener: dict[str, object] | None = None, **sections: object) -> Any:
    config = config_of({"model": "openai/gpt-5"}, **sections)
    return to_json(edge_listener(config, Listener.model_validate(listener or {}), DEPLOYMENT))


def manager(rendered: Any) -> Any:
    return at(rendered, "filter_chains", 0, "filters", 0, "typed_config")


def http_filter(rendered: Any, name: str) -> Any:
    found = [each for each in at(manager(rendered), "http_filters") if each["name"] == name]
    return at(found, 0, "typed_config")


def virtual_host(rendered: Any) -> Any:
    return at(manager(rendered), "route_config", "virtual_hosts", 0)


def test_it_listens_where_the_configuration_says() -> None:
    rendered = edge({"name": "internal", "address": "::1", "port": 8080})
    assert rendered["name"] == "internal"
    assert rendered["address"] == {"socket_address": {"address": "::1", "port_value": 8080}}


def test_filters_stand_in_their_order() -> None:
    assert [each["name"] for each in manager(edge())["http_filters"]] == [
        "envoy.filters.http.health_check",
        "envoy.filters.http.decompressor.gzip",
        "envoy.filters.http.decompressor.brotli",
        "envoy.filters.http.decompressor.zstd",
        "envoy.filters.http.ext_proc",
        "envoy.filters.http.router",
    ]


def test_the_body_limit_is_the_requests_and_not_the_connections() -> None:
    rendered = edge(limits={"max_body_bytes": "5MiB"})
    assert virtual_host(rendered)["request_body_buffer_limit"] == 5 * 1024**2
    assert rendered["per_connection_buffer_limit_bytes"] == CONNECTION_BUFFER_BYTES


@pytest.mark.parametrize(
    ("timeout", "waits"), [pytest.param("500ms", "2.500s", id="default"), pytest.param("3s", "5s", id="longer")]
)
def test_envoy_waits_longer_for_the_service_than_a_classification_may_take(timeout: str, waits: str) -> None:
    assert http_filter(edge(router={"timeout": timeout}), "envoy.filters.http.ext_proc")["message_timeout"] == waits


def test_an_undecided_request_is_never_let_through() -> None:
    assert "failure_mode_allow" not in http_filter(edge(), "envoy.filters.http.ext_proc")  # false, its default


def test_the_service_gets_headers_and_body_and_no_response_phase() -> None:
    assert http_filter(edge(), "envoy.filters.http.ext_proc")["processing_mode"] == {
        "request_header_mode": "SEND",
        "request_body_mode": "BUFFERED",
        "request_trailer_mode": "SKIP",
        "response_header_mode": "SKIP",
        "response_trailer_mode": "SKIP",
    }


def test_the_headers_sent_to_the_service_are_those_it_reads() -> None:
    rules = http_filter(edge(), "envoy.filters.http.ext_proc")["forward_rules"]
    assert rules == {"allowed_headers": {"patterns": [{"exact": name} for name in READ_HEADERS]}}


def test_every_header_that_the_service_sets_is_stripped_from_clients() -> None:
    assert {UPSTREAM_HEADER, MODEL_HEADER} <= set(CLIENT_MAY_NOT_SEND)
    mutations = at(manager(edge()), "early_header_mutation_extensions", 0, "typed_config", "mutations")
    removed = {mutation.get("remove") for mutation in mutations}
    assert set(CLIENT_MAY_NOT_SEND) <= removed


def test_every_decision_header_shows_a_field_that_the_service_tells() -> None:
    target = Target(Model(key="a/b", provider="a", id="b"), "b")
    decision = Decision(target, "model/a/b", Source.PREFERENCE, Reason.MATCHED, route="code")
    told = decision_fields(decision)
    assert {key for _, key in DECISION_HEADERS} <= set(told)
    added = at(virtual_host(edge()), "response_headers_to_add")
    shown = {option["header"]["key"]: option["header"]["value"] for option in added}
    for header, key in DECISION_HEADERS:
        assert shown[header] == f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:{key})%"


POOL = {"name": "code", "description": "writing code", "models": ["openai/gpt-5", "groq/llama", "groq/qwen"]}
POOLED = ({"model": "openai/gpt-5"}, {"model": "groq/*"})


def routes(listener: dict[str, object]) -> Any:
    config = config_of(*POOLED, routing_preferences=[POOL], limits={"upstream_idle_timeout": "20s"})
    return at(virtual_host(to_json(edge_listener(config, Listener.model_validate(listener), DEPLOYMENT))), "routes")


def test_a_pools_route_comes_before_the_one_that_matches_everything() -> None:
    pool, chosen = routes({})
    assert at(pool, "match", "headers") == [{"name": UPSTREAM_HEADER, "string_match": {"exact": "pool/code"}}]
    assert at(pool, "route", "cluster") == "pool/code"
    assert chosen["match"] == {"prefix": "/"}


@pytest.mark.parametrize(
    ("listener", "retries"),
    [
        pytest.param({}, 2, id="each member once"),
        pytest.param({"max_retries": 9}, 2, id="never more often than there are members"),
        pytest.param({"max_retries": 1}, 1, id="less where the listener says so"),
        pytest.param({"max_retries": 0}, 0, id="not at all"),
    ],
)
def test_a_pool_is_retried_as_often_as_it_has_further_members(listener: dict[str, object], retries: int) -> None:
    policy = at(routes(listener), 0, "route", "retry_policy")
    assert policy["num_retries"] == retries
    assert policy["retriable_status_codes"] == [429]


def test_one_route_follows_the_services_header() -> None:
    [route] = virtual_host(edge())["routes"]
    assert route["match"] == {"prefix": "/"}
    assert route["route"]["cluster_header"] == UPSTREAM_HEADER


@pytest.mark.parametrize(
    ("listener", "limits", "whole", "backstop"),
    [
        pytest.param({}, {}, "0s", "660s", id="no bound on the whole, ten minutes of silence and one more"),
        pytest.param({"timeout": "30s"}, {"upstream_idle_timeout": "20s"}, "30s", "80s", id="as configured"),
    ],
)
def test_timeouts(listener: dict[str, object], limits: dict[str, object], whole: str, backstop: str) -> None:
    rendered = edge(listener, limits=limits)
    route = at(virtual_host(rendered), "routes", 0, "route")
    assert route["timeout"] == whole
    assert manager(rendered)["stream_idle_timeout"] == backstop


def test_the_statuses_that_the_configuration_names_are_followed_by_the_next_model_too() -> None:
    entries: list[dict[str, object]] = [{"model": "openai/gpt-5", "fallbacks": ["a/x"]}, {"model": "a/x"}]
    config = config_of(*entries, routing={"retry_on": [408, 404]})
    rendered = to_json(edge_listener(config, config.listeners[0], DEPLOYMENT))
    route = at(virtual_host(rendered), "routes", 0)
    assert route["name"] == "fallback/openai/gpt-5"
    assert at(route, "route", "retry_policy", "retriable_status_codes") == [404, 408, 429]
