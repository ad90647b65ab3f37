from __future__ import annotations

from typing import Any

import pytest

from router_service.config.providers import endpoint
from router_service.dataplane.headers import CLIENT_CREDENTIALS
from router_service.dataplane.model_listeners import MODEL_ID_BYTES, model_listener
from router_service.dataplane.pools import Served
from router_service.dataplane.protojson import to_json
from router_service.dataplane.secrets import credentials
from tests.unit.dataplane.rendered import DEPLOYMENT, at, config_of

MANAGER = ("filter_chains", 0, "filters", 0, "typed_config")


def listener_manager(entry: dict[str, object], *, edits_model: bool) -> Any:
    config = config_of({"model": "openai/gpt-5", **entry}, limits={"max_body_bytes": 1_000_000})
    [parsed] = config.model_providers
    keys = credentials(parsed, endpoint(parsed), is_missing=False)
    rendered = model_listener(Served(parsed, parsed.key, edits_model), keys, config, DEPLOYMENT)
    assert at(to_json(rendered), "internal_listener") == {}
    return at(to_json(rendered), *MANAGER)


def manager(**entry: object) -> Any:
    return listener_manager(entry, edits_model=False)


def editing_manager(**entry: object) -> Any:
    """Of a model that is tried after another one, whose id the body then has."""
    return listener_manager(entry, edits_model=True)


def route(**entry: object) -> Any:
    return at(manager(**entry), "route_config", "virtual_hosts", 0, "routes", 0, "route")


def mutations(**entry: object) -> Any:
    found = [each for each in manager(**entry)["http_filters"] if each["name"].endswith("header_mutation")]
    return at(found, 0, "typed_config", "mutations")


@pytest.mark.parametrize(
    ("entry", "rewrite", "host"),
    [
        pytest.param({}, None, "api.openai.com", id="the client's own prefix needs no rewriting"),
        pytest.param({"model": "groq/llama"}, "/openai/v1/", "api.groq.com", id="Groq"),
        pytest.param({"model": "gemini/flash"}, "/v1beta/openai/", "generativelanguage.googleapis.com", id="Gemini"),
        pytest.param({"base_url": "http://vllm:8000/a/b/"}, "/a/b/", "vllm:8000", id="base_url with a path"),
        pytest.param({"base_url": "https://10.0.0.7", "http_host": "llm.test"}, None, "llm.test", id="http_host"),
        pytest.param({"base_url": "http://[::1]:8000"}, None, "[::1]:8000", id="IPv6"),
        pytest.param(
            {"model": "azure_openai/gpt-4o", "base_url": "https://r.openai.azure.com"},
            "/openai/deployments/gpt-4o/",
            "r.openai.azure.com",
            id="Azure",
        ),
    ],
)
def test_path_and_host_are_the_providers(entry: dict[str, object], rewrite: str | None, host: str) -> None:
    assert route(**entry).get("prefix_rewrite") == rewrite
    assert route(**entry)["host_rewrite_literal"] == host


@pytest.mark.parametrize(
    ("limits", "silence", "first_byte"),
    [
        pytest.param({}, "600s", None, id="ten minutes"),
        pytest.param({"upstream_idle_timeout": "20s", "first_byte_timeout": "3s"}, "20s", "3s", id="as configured"),
    ],
)
def test_a_providers_silence_ends_the_attempt_here(
    limits: dict[str, object], silence: str, first_byte: str | None
) -> None:
    """Where an answer can say so, and that there is nobody else to ask."""
    config = config_of({"model": "openai/gpt-5"}, limits=limits)
    rendered = model_listener(
        Served(config.model_providers[0], "openai/gpt-5", edits_model=False), (), config, DEPLOYMENT
    )
    host = at(to_json(rendered), *MANAGER, "route_config", "virtual_hosts", 0)
    policy = at(host, "routes", 0, "route", "retry_policy")
    assert (policy["per_try_idle_timeout"], policy.get("per_try_timeout")) == (silence, first_byte)


def test_the_providers_query_is_set_whatever_the_client_sent() -> None:
    parameters = mutations(base_url="http://vllm:8000/v1?a=1&b=x%20y")["query_parameter_mutations"]
    assert [at(each, "append", "record") for each in parameters] == [
        {"key": "a", "value": "1"},
        {"key": "b", "value": "x%20y"},
    ]
    assert {at(each, "append", "action") for each in parameters} == {"OVERWRITE_IF_EXISTS_OR_ADD"}


def test_a_clients_credentials_are_removed_unless_they_are_to_pass() -> None:
    removed = {each.get("remove") for each in mutations()["request_mutations"]}
    kept = {each.get("remove") for each in mutations(passthrough_auth=True)["request_mutations"]}
    assert removed - kept == set(CLIENT_CREDENTIALS)


def test_credentials_are_added_after_the_clients_were_removed_and_before_the_request_leaves() -> None:
    names = [each["name"] for each in manager(access_key="sk-1", headers={"X-Team": "search"})["http_filters"]]
    assert names == [
        "envoy.filters.http.header_mutation",
        "envoy.filters.http.credential_injector",
        "envoy.filters.http.credential_injector",
        "envoy.filters.http.router",
    ]


def test_a_credential_is_named_and_never_held() -> None:
    injector = at(manager(access_key="sk-1"), "http_filters", 1, "typed_config")
    assert injector["overwrite"] is True
    generic = at(injector, "credential", "typed_config")
    assert (generic["header"], generic["header_value_prefix"]) == ("authorization", "Bearer ")
    assert generic["credential"]["name"] == "key/openai/gpt-5"
    source = at(generic, "credential", "sds_config", "path_config_source")
    assert source == {
        "path": "/etc/envoy/sds/key_openai_gpt-5.json",
        "watched_directory": {"path": "/etc/envoy/sds"},
    }


@pytest.mark.parametrize(
    ("model", "served_by"),
    [
        pytest.param("openai/gpt-5", "openai/gpt-5", id="a model says its name"),
        pytest.param("openai/100%", "openai/100%%", id="a percent sign is no format"),
        pytest.param("openai/*", "%DYNAMIC_METADATA(router_service:model)%", id="a wildcard says which member it was"),
    ],
)
def test_the_response_tells_who_served(model: str, served_by: str) -> None:
    host = at(manager(model=model), "route_config", "virtual_hosts", 0)
    assert at(host, "response_headers_to_add", 0, "header") == {"key": "x-router-served-by", "value": served_by}


def test_a_body_is_edited_unless_it_names_this_model_already() -> None:
    rendered = editing_manager(model="openai/100%")
    assert at(rendered, "http_filters", 0, "name") == "envoy.filters.http.ext_proc"
    this, other = at(rendered, "route_config", "virtual_hosts", 0, "routes")
    assert at(this, "match", "headers") == [{"name": "x-router-model", "string_match": {"exact": "openai/100%"}}]
    assert at(this, "typed_per_filter_config", "envoy.filters.http.ext_proc", "disabled") is True
    assert "headers" not in other["match"]
    assert "typed_per_filter_config" not in other
    assert this["route"] == other["route"]


def test_the_service_is_told_the_id_and_nothing_of_the_client() -> None:
    rendered = editing_manager(model="openai/100%")
    told = at(rendered, "early_header_mutation_extensions", 0, "typed_config", "mutations", 0, "append", "header")
    assert told == {"key": "x-router-attempt-model", "value": "100%%"}
    rules = at(rendered, "http_filters", 0, "typed_config", "forward_rules", "allowed_headers", "patterns")
    assert rules == [{"exact": "x-router-attempt-model"}, {"exact": ":path"}, {"exact": "x-request-id"}]


def test_an_edited_body_may_be_as_large_as_the_edge_lets_in_and_longer_by_an_id() -> None:
    host = at(editing_manager(), "route_config", "virtual_hosts", 0)
    assert host["request_body_buffer_limit"] == 1_000_000 + MODEL_ID_BYTES


def test_a_model_that_is_never_a_later_attempt_asks_nobody() -> None:
    rendered = manager()
    assert "envoy.filters.http.ext_proc" not in [each["name"] for each in rendered["http_filters"]]
    assert not rendered.get("early_header_mutation_extensions")
    assert len(at(rendered, "route_config", "virtual_hosts", 0, "routes")) == 1


def routes(rendered: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = at(rendered, "route_config", "virtual_hosts", 0, "routes")
    return found


def test_anthropics_key_goes_into_a_header_of_its_own_on_messages() -> None:
    rendered = manager(model="anthropic/claude", access_key="sk-1")
    injectors = [each for each in rendered["http_filters"] if "credential_injector" in each["name"]]
    generics = [at(each, "typed_config", "credential", "typed_config") for each in injectors]
    assert [(each["header"], each.get("header_value_prefix")) for each in generics] == [
        ("authorization", "Bearer "),
        ("x-api-key", None),
    ]
    assert len({each["credential"]["name"] for each in generics}) == 1  # one secret, which rotates as one
    on_messages, elsewhere = routes(rendered)
    assert on_messages["match"] == {"path_separated_prefix": "/v1/messages"}
    assert elsewhere["match"] == {"prefix": "/v1/"}
    key, messages_key = (each["name"] for each in injectors)
    assert {name: each["disabled"] for name, each in on_messages["typed_per_filter_config"].items()} == {key: True}
    assert {name: each["disabled"] for name, each in elsewhere["typed_per_filter_config"].items()} == {
        messages_key: True
    }


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"model": "anthropic/claude"}, id="without a key"),
        pytest.param({"model": "anthropic/claude", "passthrough_auth": True}, id="with the client's"),
        pytest.param({"model": "openrouter/x", "access_key": "sk-1"}, id="where the key is the same everywhere"),
        pytest.param({"model": "deepseek/x", "access_key": "sk-1", "apis": ["messages"]}, id="where the entry says so"),
    ],
)
def test_messages_leave_out_no_filter(entry: dict[str, object]) -> None:
    on_messages, elsewhere = routes(manager(**entry))
    assert on_messages["match"] == {"path_separated_prefix": "/v1/messages"}
    assert "typed_per_filter_config" not in on_messages
    assert "typed_per_filter_config" not in elsewhere


def test_messages_have_a_version_and_the_clients_comes_first() -> None:
    on_messages, elsewhere = routes(manager(model="openrouter/x"))
    assert on_messages["request_headers_to_add"] == [
        {"header": {"key": "anthropic-version", "value": "2023-06-01"}, "append_action": "ADD_IF_ABSENT"}
    ]
    assert "request_headers_to_add" not in elsewhere
    assert on_messages["route"]["prefix_rewrite"] == "/api/v1/messages"


def test_a_body_is_edited_on_messages_as_elsewhere() -> None:
    rendered = editing_manager(model="anthropic/claude", access_key="sk-1")
    edits = "envoy.filters.http.ext_proc"
    assert [
        (each["match"].get("path_separated_prefix"), edits in each["typed_per_filter_config"])
        for each in routes(rendered)
    ] == [("/v1/messages", True), ("/v1/messages", False), (None, True), (None, False)]


def test_the_time_to_the_first_byte_is_measured_by_the_entrys_name_and_not_of_errors() -> None:
    _, measured = manager(model="openai/gpt-5", name="one%two")["access_log"]
    histogram = at(measured, "typed_config", "histograms", 0)
    assert at(histogram, "stat", "tags") == [{"name": "model", "value_format": "one%%two"}]
    assert histogram["value_format"] == "%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:ms)%"
    assert at(measured, "filter", "status_code_filter", "comparison", "value", "default_value") == 399
