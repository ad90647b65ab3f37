from __future__ import annotations

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster

from router_service.config.models import ModelProvider
from router_service.config.providers import endpoint
from router_service.config.service import Address, TcpAddress, UnixAddress
from router_service.dataplane.clusters import (
    FAILURES_IN_A_ROW,
    NOBODY_ELSE,
    SERVICE_NAME,
    member_cluster,
    model_cluster,
    pool_cluster,
    provider_cluster,
    service_cluster,
)
from router_service.dataplane.deployment import Deployment
from router_service.dataplane.pools import pools
from router_service.dataplane.protojson import Json, to_json
from router_service.dataplane.render import clusters
from router_service.extproc import servicer
from router_service.routing.catalog import Model
from tests.unit.dataplane.rendered import DEPLOYMENT, at, config_of

TLS = ("transport_socket", "typed_config")
CONTEXT = (*TLS, "common_tls_context", "validation_context")
PROTOCOL = ("typed_extension_protocol_options", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions")


def provider(**entry: object) -> dict[str, Json]:
    model = {"model": "test/model", **entry}
    return to_json(provider_cluster(endpoint(ModelProvider.model_validate(model)), DEPLOYMENT))


def service(*addresses: Address) -> dict[str, Json]:
    return to_json(service_cluster(Deployment(directory="/d", service=addresses, ca_file="")))


def test_a_public_api_is_any_one_address_of_its_name_over_tls() -> None:
    cluster = provider(model="groq/llama")
    assert at(cluster, "name") == "provider/https/api.groq.com:443"
    dns = at(cluster, "cluster_type", "typed_config")
    assert (at(dns, "all_addresses_in_single_endpoint"), at(dns, "dns_lookup_family")) == (True, "ALL")
    assert at(cluster, *TLS, "sni") == "api.groq.com"
    assert at(cluster, *CONTEXT, "trusted_ca") == {"filename": "/etc/ca.pem"}
    assert at(cluster, *CONTEXT, "match_typed_subject_alt_names", 0) == {
        "san_type": "DNS",
        "matcher": {"exact": "api.groq.com"},
    }
    assert set(at(cluster, *PROTOCOL, "auto_config")) == {"http2_protocol_options", "http_protocol_options"}


def test_ones_own_servers_are_all_addresses_of_their_name_without_tls() -> None:
    cluster = provider(base_url="http://vllm:8000")
    assert "all_addresses_in_single_endpoint" not in at(cluster, "cluster_type", "typed_config")
    assert "transport_socket" not in cluster
    assert "explicit_http_config" in at(cluster, *PROTOCOL)


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        pytest.param("http://10.0.0.7:8000", "10.0.0.7", id="IPv4"),
        pytest.param("http://[fd00::7]:8000", "fd00::7", id="IPv6"),
    ],
)
def test_an_address_needs_no_resolver(base_url: str, host: str) -> None:
    cluster = provider(base_url=base_url)
    assert at(cluster, "type") == "STATIC"
    address = at(cluster, "load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint", "address")
    assert address == {"socket_address": {"address": host, "port_value": 8000}}


def test_a_certificate_for_an_address_must_name_the_address() -> None:
    cluster = provider(base_url="https://10.0.0.7")
    assert "sni" not in at(cluster, *TLS)
    assert at(cluster, *CONTEXT, "match_typed_subject_alt_names", 0, "san_type") == "IP_ADDRESS"


def test_http_host_is_the_name_that_the_certificate_must_carry() -> None:
    cluster = provider(base_url="https://10.0.0.7:8443", http_host="llm.internal")
    assert at(cluster, *TLS, "sni") == "llm.internal"
    assert at(cluster, *CONTEXT, "match_typed_subject_alt_names", 0, "matcher") == {"exact": "llm.internal"}


def test_entries_share_a_cluster_by_scheme_host_port_and_expected_certificate() -> None:
    config = config_of(
        {"model": "openai/gpt-5"},
        {"model": "openai/gpt-5-mini"},
        {"model": "a/1", "base_url": "http://10.0.0.7:8000/one"},
        {"model": "a/2", "base_url": "http://10.0.0.7:8000/two", "http_host": "two.test"},
        {"model": "a/3", "base_url": "http://10.0.0.7:8001"},
        {"model": "a/4", "base_url": "https://10.0.0.7:8000"},
        {"model": "a/5", "base_url": "https://10.0.0.7:8000", "http_host": "five.test"},
    )
    names = [cluster.name for cluster in clusters(config, DEPLOYMENT)]
    assert [name for name in names if name.startswith("provider/")] == [
        "provider/https/api.openai.com:443",
        "provider/http/10.0.0.7:8000",
        "provider/http/10.0.0.7:8001",
        "provider/https/10.0.0.7:8000",
        "provider/https/10.0.0.7:8000/five.test",
    ]
    assert len(names) == len(set(names))


def test_a_models_cluster_has_the_name_that_the_service_writes_into_the_header() -> None:
    entry = ModelProvider.model_validate({"model": "openai/gpt-5", "name": "mine"})
    assert model_cluster(entry).name == Model(key=entry.key, provider="openai", id="gpt-5").upstream == "model/mine"


def test_dots_do_not_cut_a_clusters_name_short_in_statistics() -> None:
    assert at(provider(model="groq/llama"), "alt_stat_name") == "provider/https/api_groq_com:443"


@pytest.mark.parametrize(
    ("addresses", "kind", "rendered"),
    [
        pytest.param(
            [UnixAddress("/run/r.sock"), UnixAddress("/run/r.sock.1")],
            "STATIC",
            [{"pipe": {"path": "/run/r.sock"}}, {"pipe": {"path": "/run/r.sock.1"}}],
            id="sockets",
        ),
        pytest.param(
            [TcpAddress("0.0.0.0", 9910), TcpAddress("::", 9911)],
            "STATIC",
            [
                {"socket_address": {"address": "127.0.0.1", "port_value": 9910}},
                {"socket_address": {"address": "::1", "port_value": 9911}},
            ],
            id="every interface is reached on loopback",
        ),
        pytest.param(
            [TcpAddress("router.llm.svc", 9910)],
            None,
            [{"socket_address": {"address": "router.llm.svc", "port_value": 9910}}],
            id="name",
        ),
    ],
)
def test_workers_are_found_at(addresses: list[Address], kind: str | None, rendered: list[Json]) -> None:
    cluster = service(*addresses)
    endpoints = at(cluster, "load_assignment", "endpoints", 0, "lb_endpoints")
    assert [at(endpoint, "endpoint", "address") for endpoint in endpoints] == rendered
    assert cluster.get("type") == kind


def test_a_name_of_workers_means_all_of_its_addresses() -> None:
    dns = at(service(TcpAddress("router.llm.svc", 9910)), "cluster_type", "typed_config")
    assert "all_addresses_in_single_endpoint" not in dns


def test_the_health_check_asks_for_the_service_that_the_workers_report() -> None:
    assert SERVICE_NAME == servicer.SERVICE_NAME
    check = at(service(UnixAddress("/s")), "health_checks", 0, "grpc_health_check")
    assert check == {"service_name": SERVICE_NAME}


@pytest.mark.parametrize("cluster", clusters(config_of({"model": "openai/gpt-5"}), DEPLOYMENT), ids=lambda c: c.name)
def test_no_cluster_keeps_envoys_default_limit_of_1024(cluster: Cluster) -> None:
    limits = at(to_json(cluster), "circuit_breakers", "thresholds", 0)
    assert min(limits.values()) > 10_000


def test_a_pool_is_a_composite_of_its_members_in_order_of_which_all_but_the_last_can_be_left_out() -> None:
    config = config_of(
        {"model": "openai/gpt-5", "name": "mine"},
        {"model": "groq/*"},
        routing_preferences=[{"name": "a.b", "description": "x", "models": ["groq/llama", "mine"]}],
    )
    [pool] = pools(config)
    cluster = to_json(pool_cluster(pool))
    assert (cluster["name"], cluster["alt_stat_name"], cluster["lb_policy"]) == (
        "pool/a.b",
        "pool/a_b",
        "CLUSTER_PROVIDED",
    )
    members = at(cluster, "cluster_type", "typed_config", "clusters")
    assert members == [{"name": "member/groq/llama"}, {"name": "model/mine"}]
    names = {each.name for each in clusters(config, DEPLOYMENT)}
    assert {member["name"] for member in members} <= names
    assert "member/mine" not in names
    assert at(cluster, "circuit_breakers", "thresholds", 0, "max_retries") > 1000


def test_a_model_that_fails_leaves_its_pools_and_no_request_of_its_own() -> None:
    """With panic, Envoy would go on choosing the one host that it has ejected."""
    entry = ModelProvider.model_validate({"model": "groq/llama"})
    member, model = to_json(member_cluster(entry)), to_json(model_cluster(entry))
    assert at(member, "outlier_detection", "consecutive_5xx") == FAILURES_IN_A_ROW
    assert at(member, "common_lb_config", "healthy_panic_threshold") == {}
    assert "outlier_detection" not in model
    address = ("load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint", "address", "envoy_internal_address")
    assert at(member, *address) == {"server_listener_name": "model/groq/llama"}
    assert at(model, *address) == {"server_listener_name": "model/groq/llama", "endpoint_id": NOBODY_ELSE}


def test_of_a_providers_addresses_those_that_fail_are_left_alone_unless_few_would_remain() -> None:
    """The default panic threshold: below half of them, all are asked."""
    cluster = provider(base_url="http://vllm:8000")
    assert at(cluster, "outlier_detection", "max_ejection_percent") == 100
    assert "common_lb_config" not in cluster
