"""What the resources for Envoy Gateway rely on, in a real Envoy: its translation of them, by hand, routes.

Envoy Gateway puts our filter into the listener, disabled, and enables it route by route. A request's filters are
settled by its first route; after the router's reply Envoy chooses another, whose headers, host and path then count.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from router_service.config.load import loads
from router_service.config.service import TcpAddress
from router_service.dataplane.envoy_gateway import References, Resource, render
from tests.contract.conftest import Client
from tests.deploy.manifests import entries, get
from tests.support.envoy import Envoy
from tests.support.ext_proc import ScriptedRouter
from tests.support.providers import Provider

Json = Mapping[str, object]

TYPE = "type.googleapis.com/envoy"
KEY = "sk-of-the-environment"
CONFIG = """
model_providers:
  - {{model: test/one, base_url: "http://localhost:{port}/openai/v1", access_key: $ONE_API_KEY}}
  - {{model: anthropic/two, base_url: "http://localhost:{port}/claude/v1", access_key: $ONE_API_KEY}}
"""


def route(rule: Json) -> Json:
    """One rule of an HTTPRoute as Envoy's route."""
    match = get(rule, "matches.0")
    matched: dict[str, object] = {"prefix": get(match, "path.value")}
    headers = entries(match, "headers")
    matched["headers"] = [{"name": h["name"], "string_match": {"exact": h["value"]}} for h in headers]
    filters = {str(entry["type"]): entry for entry in entries(rule, "filters")}
    found: dict[str, object] = {
        "match": matched,
        "typed_per_filter_config": {
            "envoy.filters.http.ext_proc": {"@type": f"{TYPE}.config.route.v3.FilterConfig", "config": {}}
        },
    }
    if "ExtensionRef" in filters:
        return {**found, "direct_response": {"status": 503}}
    request = get(filters, "RequestHeaderModifier.requestHeaderModifier")
    return {
        **found,
        "route": {
            "cluster": "provider",
            "host_rewrite_literal": get(filters, "URLRewrite.urlRewrite.hostname"),
            "prefix_rewrite": get(filters, "URLRewrite.urlRewrite.path.replacePrefixMatch"),
        },
        "request_headers_to_remove": get(request, "remove"),
        "request_headers_to_add": [_header(entry) for entry in entries(request, "set")],
        "response_headers_to_add": [
            _header(entry) for entry in entries(filters, "ResponseHeaderModifier.responseHeaderModifier.set")
        ],
    }


def _header(entry: Json) -> Json:
    header = {"key": entry["name"], "value": entry["value"]}
    return {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def bootstrap(resources: tuple[Resource, ...], router: int, provider: int) -> Json:
    rules = [rule for each in resources if each["kind"] == "HTTPRoute" for rule in entries(each, "spec.rules")]
    # Gateway API: the longest path first, then the most headers.
    rules.sort(key=lambda rule: len(entries(rule, "matches.0.headers")), reverse=True)
    rules.sort(key=lambda rule: len(str(get(rule, "matches.0.path.value"))), reverse=True)
    policy = next(each for each in resources if each["kind"] == "EnvoyExtensionPolicy")
    ext_proc = {
        "@type": f"{TYPE}.extensions.filters.http.ext_proc.v3.ExternalProcessor",
        "grpc_service": {"envoy_grpc": {"cluster_name": "router"}},
        "processing_mode": {
            "request_header_mode": "SEND",
            "request_body_mode": "BUFFERED",
            "response_header_mode": "SKIP",
        },
        "metadata_options": {
            "receiving_namespaces": {"untyped": get(policy, "spec.extProc.0.metadata.writableNamespaces")}
        },
    }
    manager = {
        "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route(rule) for rule in rules]}]
        },
        "http_filters": [
            {"name": "envoy.filters.http.ext_proc", "disabled": True, "typed_config": ext_proc},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    http2 = {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
    }
    return {
        "admin": {"address": _address(0)},
        "static_resources": {
            "listeners": [
                {
                    "name": "gateway",
                    "address": _address(0),
                    "filter_chains": [
                        {
                            "filters": [
                                {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {**_cluster("router", router), "typed_extension_protocol_options": http2},
                _cluster("provider", provider),
            ],
        },
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _cluster(name: str, port: int) -> Json:
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}]
    return {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}


@asynccontextmanager
async def gateway(directory: Path) -> AsyncIterator[tuple[Client, Provider, ScriptedRouter]]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(Provider())
        router = await stack.enter_async_context(ScriptedRouter())
        assert isinstance(router.address, TcpAddress)
        resources = render(loads(CONFIG.format(port=provider.port), References()).config).resources
        (directory / "bootstrap.json").write_text(json.dumps(bootstrap(resources, router.address.port, provider.port)))
        envoy = await stack.enter_async_context(Envoy(directory))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Client(session, f"http://127.0.0.1:{await asyncio.to_thread(envoy.port, 'gateway')}"), provider, router


async def test_the_routers_answer_decides_path_and_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_API_KEY", KEY)
    async with gateway(tmp_path) as (client, provider, _):
        reply = await client.post("test/one", headers={"authorization": "Bearer sk-of-the-client", "x-api-key": "x"})
        assert reply.status == 200
        assert provider.last.path == "/openai/v1/chat/completions"
        assert provider.last.headers["authorization"] == f"Bearer {KEY}"
        assert "x-api-key" not in provider.last.headers
        assert "x-router-upstream" not in provider.last.headers
        assert reply.headers["x-router-served-by"] == "test/one"


async def test_a_messages_request_has_its_own_path_and_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONE_API_KEY", KEY)
    async with gateway(tmp_path) as (client, provider, _):
        clients = {"authorization": "Bearer sk-of-the-client", "x-api-key": "sk-of-the-client"}
        for path, header, key in (
            ("/v1/messages/count_tokens", "x-api-key", KEY),
            ("/v1/chat/completions", "authorization", f"Bearer {KEY}"),
        ):
            assert (await client.post("anthropic/two", path=path, headers=clients)).status == 200
            assert provider.last.path == path.replace("/v1", "/claude/v1")
            assert provider.last.headers[header] == key
            assert "sk-of-the-client" not in str(provider.last.headers)


async def test_a_model_without_a_route_is_answered_by_the_undecided_one(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (client, provider, router):
        reply = await client.post("test/none")
        assert reply.status == 503
        assert len(router.exchanges) == 1
        assert provider.received == []
