"""Resources for Envoy Gateway: who gets which path, host, credential and Backend, and what is said to be lost."""

from __future__ import annotations

import json

import pytest

from router_service.config.load import loads
from router_service.dataplane.envoy_gateway import References, Rendered, Resource, render
from tests.deploy import crds
from tests.deploy.manifests import get


def rendered(text: str) -> Rendered:
    return render(loads(text, References()).config)


def find(result: Rendered, kind: str, name: str) -> Resource:
    return next(
        resource for resource in result.resources if resource["kind"] == kind and get(resource, "metadata.name") == name
    )


def route_filter(result: Rendered, model: str, kind: str) -> object:
    filters = get(find(result, "HTTPRoute", f"model-{model}"), "spec.rules.0.filters")
    assert isinstance(filters, list)
    field = {"URLRewrite": "urlRewrite", "RequestHeaderModifier": "requestHeaderModifier"}[kind]
    return next((entry[field] for entry in filters if entry["type"] == kind), None)


TWO = """
model_providers:
  - {model: openai/gpt-5.2, access_key: $OPENAI_API_KEY, default: true}
  - {model: groq/llama-4, access_key: $GROQ_API_KEY, headers: {X-Team: "a ${TEAM} 100%"}}
"""


def test_every_resource_has_only_fields_that_exist() -> None:
    for resource in rendered(TWO).resources:
        assert crds.problems(resource) == [], resource


def test_the_same_configuration_gives_the_same_resources() -> None:
    assert rendered(TWO) == rendered(TWO)


def test_a_model_is_found_by_the_routers_answer() -> None:
    route = find(rendered(TWO), "HTTPRoute", "model-groq-llama-4")
    assert get(route, "spec.rules.0.matches.0.headers") == [
        {"type": "Exact", "name": "x-router-upstream", "value": "model/groq/llama-4"}
    ]
    assert get(route, "spec.rules.0.backendRefs.0.name") == "groq-llama-4"


def test_a_pool_leads_to_its_first_model() -> None:
    pool = "routing_preferences: [{name: código, description: code, models: [groq/llama-4, openai/gpt-5.2]}]"
    route = find(rendered(f"{TWO}\n{pool}"), "HTTPRoute", "model-groq-llama-4")
    assert get(route, "spec.rules.0.matches.1.headers") == [
        {"type": "Exact", "name": "x-router-upstream", "value": "pool/código"}
    ]


def test_every_order_of_a_pool_leads_to_the_model_that_it_begins_with() -> None:
    pool = "model_aliases: {lot: {targets: [gpt-5.2, llama-4], selection_policy: {prefer: random}}}"
    result = rendered(f"{TWO}\n{pool}")
    answers = {
        model: get(find(result, "HTTPRoute", f"model-{model}"), "spec.rules.0.matches.1.headers.0.value")
        for model in ("openai-gpt-5-2", "groq-llama-4")
    }
    assert answers == {"openai-gpt-5-2": "alias/lot", "groq-llama-4": "alias/lot~1.0"}


def test_a_model_gets_its_providers_path_and_host() -> None:
    result = rendered(TWO)
    assert route_filter(result, "groq-llama-4", "URLRewrite") == {
        "hostname": "api.groq.com",
        "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/openai/v1"},
    }
    assert route_filter(result, "openai-gpt-5-2", "URLRewrite") == {"hostname": "api.openai.com"}


def test_its_certificate_has_to_name_the_provider() -> None:
    policy = find(rendered(TWO), "BackendTLSPolicy", "groq-llama-4")
    assert get(policy, "spec.validation") == {"wellKnownCACertificates": "System", "hostname": "api.groq.com"}


def test_keys_are_names_of_variables_for_envoy_to_fill_in() -> None:
    result = rendered(TWO)
    assert get(route_filter(result, "groq-llama-4", "RequestHeaderModifier"), "set") == [
        {"name": "authorization", "value": "Bearer %ENVIRONMENT(GROQ_API_KEY)%"},
        {"name": "x-team", "value": "a %ENVIRONMENT(TEAM)% 100%%"},
    ]
    proxy = find(result, "EnvoyProxy", "llm")
    variables = get(proxy, "spec.provider.kubernetes.envoyDeployment.container.env")
    assert isinstance(variables, list)
    assert [variable["name"] for variable in variables] == ["OPENAI_API_KEY", "GROQ_API_KEY", "TEAM"]


def test_anthropics_key_goes_into_a_header_of_its_own_on_messages() -> None:
    result = rendered("model_providers: [{model: anthropic/claude, access_key: $KEY}]")
    rules = get(find(result, "HTTPRoute", "model-anthropic-claude"), "spec.rules")
    assert isinstance(rules, list)
    assert [
        (
            get(rule, "matches.0.path.value"),
            get(rule, "filters.0.requestHeaderModifier.set.0"),
            "x-api-key" in str(get(rule, "filters.0.requestHeaderModifier.remove")),
        )
        for rule in rules
    ] == [
        ("/v1", {"name": "authorization", "value": "Bearer %ENVIRONMENT(KEY)%"}, True),
        ("/v1/messages", {"name": "x-api-key", "value": "%ENVIRONMENT(KEY)%"}, False),
    ]


def test_a_clients_credential_goes_to_no_provider_that_has_its_own() -> None:
    removed = get(route_filter(rendered(TWO), "openai-gpt-5-2", "RequestHeaderModifier"), "remove")
    assert isinstance(removed, list)
    assert {"x-router-upstream", "x-api-key", "cookie"} <= set(removed)
    assert "authorization" not in removed  # it is set


def test_a_passed_on_credential_stays() -> None:
    result = rendered("model_providers: [{model: x/y, base_url: 'http://x.test', passthrough_auth: true}]")
    removed = get(route_filter(result, "x-y", "RequestHeaderModifier"), "remove")
    assert isinstance(removed, list)
    assert "authorization" not in removed


def test_what_nobody_decided_gets_a_503_in_the_clients_error_shape() -> None:
    result = rendered(TWO)
    reply = find(result, "HTTPRouteFilter", "undecided")
    assert get(reply, "spec.directResponse.statusCode") == 503
    body = get(reply, "spec.directResponse.body.inline")
    assert isinstance(body, str)
    assert json.loads(body)["error"]["code"] == "router_unavailable"


def test_an_address_without_a_name_is_an_ip_backend_without_tls() -> None:
    result = rendered("model_providers: [{model: vllm/m, base_url: 'http://10.0.0.7:8000/api'}]")
    assert get(find(result, "Backend", "vllm-m"), "spec.endpoints") == [{"ip": {"address": "10.0.0.7", "port": 8000}}]
    assert not [resource for resource in result.resources if resource["kind"] == "BackendTLSPolicy"]


SAME_MODEL_TWICE = """
model_providers:
  - {model: vllm/qwen, name: near, base_url: "http://near:8000"}
  - {model: vllm/qwen, name: far, base_url: "http://far:8000"}
routing_preferences:
  - {name: code, description: writing and reading code, models: [near, far]}
"""


def test_the_next_member_stands_in_where_it_is_the_same_model() -> None:
    result = rendered(SAME_MODEL_TWICE)
    backends = get(find(result, "HTTPRoute", "model-near"), "spec.rules.0.backendRefs")
    assert isinstance(backends, list)
    assert [backend["name"] for backend in backends] == ["near", "far-fallback"]
    assert get(find(result, "Backend", "far-fallback"), "spec.fallback") is True
    assert get(find(result, "Backend", "far"), "spec.fallback") is None
    assert result.lost == ()


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        pytest.param(
            TWO + "routing_preferences: [{name: code, description: writing and reading code, "
            "models: [openai/gpt-5.2, groq/llama-4]}]\n",
            ("routing_preferences 'code': the pool after openai/gpt-5.2 (groq/llama-4)",),
            id="a pool of different models",
        ),
        pytest.param(
            "model_providers: [{model: azure_openai/gpt-4o, base_url: 'https://x.openai.azure.com'}]",
            ("azure_openai/gpt-4o: the query 'api-version=2025-01-01-preview'; clients must send it",),
            id="a query",
        ),
        pytest.param(
            TWO + "model_aliases: {fast: {targets: [gpt-5.2, llama-4], selection_policy: {prefer: fastest}}}\n",
            ("prefer: fastest: what Envoy measures; name a source of latencies with provider: prometheus",),
            id="a histogram of our own Envoy",
        ),
    ],
)
def test_what_is_lost_is_said(text: str, lost: tuple[str, ...]) -> None:
    assert rendered(text).lost == lost


def test_names_stay_apart_where_kubernetes_would_make_them_one() -> None:
    result = rendered("model_providers: [{model: a/b.c, base_url: 'http://x'}, {model: a/b_c, base_url: 'http://y'}]")
    names = [get(resource, "metadata.name") for resource in result.resources if resource["kind"] == "Backend"]
    assert len(set(names)) == 2
