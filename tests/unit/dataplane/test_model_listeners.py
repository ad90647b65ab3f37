from __future__ import annotations

from typing import Any

import pytest

from router_service.config.models import ModelProvider
from router_service.config.providers import endpoint
from router_service.dataplane.headers import CLIENT_CREDENTIALS
from router_service.dataplane.model_listeners import model_listener
from router_service.dataplane.protojson import to_json
from router_service.dataplane.secrets import credentials
from tests.unit.dataplane.rendered import DEPLOYMENT, at


def manager(**entry: object) -> Any:
    parsed = ModelProvider.model_validate({"model": "openai/gpt-5", **entry})
    address = endpoint(parsed)
    rendered = model_listener(parsed, address, credentials(parsed, address, is_missing=False), DEPLOYMENT)
    assert at(to_json(rendered), "internal_listener") == {}
    return at(to_json(rendered), "filter_chains", 0, "filters", 0, "typed_config")


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
