"""What the Istio overlay says in Envoy's own words is put where Istio would put it, and read by a real Envoy."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from router_service.config.load import loads
from router_service.dataplane.binary import find_envoy
from router_service.extproc.stream import READ_HEADERS
from tests.deploy import overlays
from tests.deploy.manifests import entries, get, one


def patch(apply_to: str) -> dict[str, object]:
    (found,) = [
        get(entry, "patch.value")
        for entry in entries(one(overlays.build("istio"), "EnvoyFilter"), "spec.configPatches")
        if entry["applyTo"] == apply_to
    ]
    assert isinstance(found, dict)
    return found


def envoy_routes() -> list[dict[str, object]]:
    """The VirtualService's routes as Istio translates them, as far as Envoy's formats matter."""
    routes: list[dict[str, object]] = []
    for rule in entries(one(overlays.build("istio"), "VirtualService"), "spec.http"):
        if (answer := rule.get("directResponse")) is not None:
            body = {"inline_string": get(answer, "body.string")}
            routes.append(
                {"match": {"prefix": "/"}, "direct_response": {"status": get(answer, "status"), "body": body}}
            )
            continue
        sent, shown = get(rule, "headers.request.set"), get(rule, "headers.response.set")
        assert isinstance(sent, dict)
        assert isinstance(shown, dict)
        routes.append(
            {
                "match": {"prefix": "/"},
                "route": {"cluster": "outbound|9910||router.router-service.svc.cluster.local"},
                "request_headers_to_add": [{"header": {"key": key, "value": sent[key]}} for key in sent],
                "response_headers_to_add": [{"header": {"key": key, "value": shown[key]}} for key in shown],
            }
        )
    return routes


def test_envoy_loads_what_the_filter_puts_into_it(tmp_path: Path) -> None:
    filter_ = patch("HTTP_FILTER")
    manager = patch("NETWORK_FILTER")["typed_config"]
    assert isinstance(manager, dict)
    manager = {
        **manager,
        "stat_prefix": "gateway",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": envoy_routes()}]},
        "http_filters": [
            filter_,
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            },
        ],
    }
    listener = {
        **patch("LISTENER"),
        "name": "gateway",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    cluster = get(filter_, "typed_config.grpc_service.envoy_grpc.cluster_name")
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(
        json.dumps({"static_resources": {"listeners": [listener], "clusters": [{"name": cluster, "type": "STATIC"}]}})
    )
    read = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", str(bootstrap), "--use-dynamic-base-id"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert read.returncode == 0, read.stderr


def test_the_filter_sends_the_router_what_it_reads_and_nothing_else() -> None:
    allowed = get(patch("HTTP_FILTER"), "typed_config.forward_rules.allowed_headers.patterns")
    assert isinstance(allowed, list)
    assert {pattern["exact"] for pattern in allowed} == set(READ_HEADERS)


def test_every_model_of_the_router_has_a_route_and_a_host() -> None:
    resources = overlays.build("istio")
    data = get(one(resources, "ConfigMap", "router-config"), "data")
    assert isinstance(data, dict)
    catalog = loads(data["config.yaml"], {}).catalog
    rules = entries(one(resources, "VirtualService"), "spec.http")
    routed = {get(rule, "match.0.headers.x-router-upstream.exact") for rule in rules if "match" in rule}
    assert routed == {model.upstream for model in catalog.models}
    hosts = get(one(resources, "ServiceEntry"), "spec.hosts")
    assert isinstance(hosts, list)
    assert {get(rule, "route.0.destination.host") for rule in rules if "route" in rule} == set(hosts)
