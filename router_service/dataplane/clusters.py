"""Where Envoy connects to: the service's workers, pools of models, the models' internal listeners, the providers.

Two entries at one scheme, host and port share a cluster, and so its connections, limits and health; only where they
expect different certificates there are two.

What keeps failing is left alone for a while, at two places. Of a provider's own addresses, the one that fails is; if
that leaves fewer than half, all are asked (Envoy's panic threshold, 50 %), so a provider with one address always is. A
model that fails is left out of pools, by a cluster of its own for its turns there (`member/…`): with no healthy host
and no panic, a composite cluster goes on to its next member within the same attempt, and no request is spent. The last
member of a pool, and a model that is asked for by name, is asked in any case (`model/…`).
"""

from __future__ import annotations

from collections.abc import Sequence

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
    ClusterCommonLbConfig,
    ClusterCustomClusterType,
    ClusterDiscoveryType,
    ClusterLbPolicy,
    OutlierDetection,
    UpstreamConnectionOptions,
)
from envoy_data_plane.envoy.config.core.v3 import (
    Address as EnvoyAddress,
)
from envoy_data_plane.envoy.config.core.v3 import (
    DataSource,
    EnvoyInternalAddress,
    HealthCheck,
    HealthCheckGrpcHealthCheck,
    Http1ProtocolOptions,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    KeepaliveSettings,
    Pipe,
    SocketAddress,
    TcpKeepalive,
    TransportSocket,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.endpoint.v3 import (
    Endpoint as EnvoyEndpoint,
)
from envoy_data_plane.envoy.extensions.clusters.common.dns.v3 import DnsLookupFamily
from envoy_data_plane.envoy.extensions.clusters.composite.v3 import (
    ClusterConfig as CompositeClusterConfig,
)
from envoy_data_plane.envoy.extensions.clusters.composite.v3 import (
    ClusterConfigClusterEntry,
)
from envoy_data_plane.envoy.extensions.clusters.dns.v3 import DnsCluster
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    TlsParameters,
    TlsParametersTlsProtocol,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptions as UpstreamProtocolOptions,
)
from envoy_data_plane.envoy.extensions.upstreams.http.v3 import (
    HttpProtocolOptionsAutoHttpConfig,
    HttpProtocolOptionsExplicitHttpConfig,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.envoy.type.v3 import Percent

from router_service.config.models import ModelProvider
from router_service.config.providers import Endpoint, is_ip
from router_service.config.service import Address, TcpAddress, UnixAddress
from router_service.dataplane.deployment import Deployment, reachable
from router_service.dataplane.messages import seconds
from router_service.dataplane.pools import Pool
from router_service.dataplane.protojson import Packed

SERVICE_CLUSTER = "router-service"
NOBODY_ELSE = "nobody-else"  # the endpoint id by which a request comes that no other model could answer
SERVICE_NAME = "envoy.service.ext_proc.v3.ExternalProcessor"  # what the workers' gRPC health service answers for

# Envoy's default of 1024 is for services that answer in milliseconds; an LLM holds each request for many seconds.
MAX_CONCURRENT = 65_536

# Toward one provider: below the 28,232 ports that Linux has for connections to one address, so that the client is told
# what is wrong. With ten seconds an answer these are 2,000 requests a second.
MAX_AT_PROVIDER = 20_000

# One or two failures in a row are bad luck, or one client's request that makes a server fail however often it is sent.
FAILURES_IN_A_ROW = 5

# Left alone for ten seconds the first time, which is nothing where another model answers, then for ten more each time
# that it fails on. Never longer than a minute, so that nobody waits for a provider that has been well for longer.
LEFT_ALONE_S = 10
LEFT_ALONE_AT_MOST_S = 60
ALLOWED_BACK_WITHIN_S = 1  # how often Envoy looks whose time is over

CONNECT_TIMEOUT_S = 5
SERVICE_CONNECT_TIMEOUT_S = 1  # on this machine, or a pod next door

# A pooled connection must end before the other side ends it. uvicorn, which serves vLLM and most Python model servers,
# closes after 5 s; public APIs sit behind balancers that close after 60 s (AWS) or later.
HTTP_IDLE_S = 4
HTTPS_IDLE_S = 55


def service_cluster(deployment: Deployment) -> Cluster:
    """The workers. One that stops answering its health check, or says it does not serve, gets no more requests.

    Unless that leaves fewer than half: then they are more likely slow than dead, and all are asked (Envoy's panic
    threshold, 50 %). One that is really dead costs a request nothing but the time to ask another.
    """
    addresses = [reachable(address) for address in deployment.service]
    cluster = _cluster(
        SERVICE_CLUSTER,
        addresses,
        UpstreamProtocolOptions(
            explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=Http2ProtocolOptions())
        ),
        connect_timeout_s=SERVICE_CONNECT_TIMEOUT_S,
        lb_policy=ClusterLbPolicy.LEAST_REQUEST,
        health_checks=[
            HealthCheck(
                timeout=seconds(2),  # a worker that is busy with the largest body is not a dead one
                interval=seconds(1),
                no_traffic_interval=seconds(1),
                unhealthy_threshold=2,
                healthy_threshold=1,
                grpc_health_check=HealthCheckGrpcHealthCheck(service_name=SERVICE_NAME),
            )
        ],
    )
    cluster.outlier_detection = _refusing_connections()
    return cluster


def _refusing_connections() -> OutlierDetection:
    """Leaves a worker alone for a second at its first refused connection: sooner than two health checks can tell."""
    never = 0
    return OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=1,
        enforcing_consecutive_local_origin_failure=100,
        enforcing_local_origin_success_rate=never,
        enforcing_consecutive_5xx=never,
        enforcing_consecutive_gateway_failure=never,
        enforcing_success_rate=never,
        interval=seconds(0.5),
        base_ejection_time=seconds(1),
        max_ejection_time=seconds(2),
        max_ejection_percent=100,
    )


def model_cluster_name(entry: ModelProvider) -> str:
    """What the service writes into the header that Envoy routes by (`catalog.Model.upstream`)."""
    return f"model/{entry.key}"


def model_cluster(entry: ModelProvider) -> Cluster:
    """The way to one model's internal listener, which has the same name, for a request that has nobody else to go to.

    The listener sees it by the endpoint's id, and tells the edge not to try again.
    """
    name = model_cluster_name(entry)
    return _internal_cluster(name, EnvoyInternalAddress(server_listener_name=name, endpoint_id=NOBODY_ELSE))


def member_cluster(entry: ModelProvider) -> Cluster:
    """The way to the same listener for a pool that has another member behind this one. Empty while it keeps failing."""
    listener = model_cluster_name(entry)
    cluster = _internal_cluster(_member_cluster_name(entry.key), EnvoyInternalAddress(server_listener_name=listener))
    cluster.outlier_detection = _failing()
    cluster.common_lb_config = ClusterCommonLbConfig(healthy_panic_threshold=Percent(value=0))
    return cluster


def _internal_cluster(name: str, address: EnvoyInternalAddress) -> Cluster:
    return Cluster(
        name=name,
        alt_stat_name=_stat_name(name),
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=seconds(1),
        load_assignment=_assignment(name, [EnvoyAddress(envoy_internal_address=address)]),
        circuit_breakers=_limits(MAX_CONCURRENT),
    )


def _member_cluster_name(key: str) -> str:
    return f"member/{key}"


def _failing() -> OutlierDetection:
    """Leaves alone what answered 5xx, refused, reset or stayed silent so often in a row.

    A 429 is none of these: it comes at once, says when to come again, and concerns one key or model.
    """
    never = 0
    return OutlierDetection(
        consecutive_5xx=FAILURES_IN_A_ROW,
        enforcing_consecutive_gateway_failure=never,
        enforcing_success_rate=never,
        interval=seconds(ALLOWED_BACK_WITHIN_S),
        base_ejection_time=seconds(LEFT_ALONE_S),
        max_ejection_time=seconds(LEFT_ALONE_AT_MOST_S),
        max_ejection_percent=100,
    )


def pool_cluster(pool: Pool) -> Cluster:
    """Attempt N goes to member N, or the next after it that is not left alone.

    More attempts than members would end in an answer of Envoy's own.
    """
    *others, last = [target.key for target in pool.members]
    names = [*(_member_cluster_name(key) for key in others), f"model/{last}"]
    members = [ClusterConfigClusterEntry(name=name) for name in names]
    return Cluster(
        name=pool.cluster,
        alt_stat_name=_stat_name(pool.cluster),
        connect_timeout=seconds(1),
        lb_policy=ClusterLbPolicy.CLUSTER_PROVIDED,
        cluster_type=ClusterCustomClusterType(
            name="envoy.clusters.composite", typed_config=Packed(CompositeClusterConfig(clusters=members))
        ),
        circuit_breakers=_limits(MAX_CONCURRENT),  # the number of retries under way is the pool's, not its members'
    )


def provider_cluster_name(endpoint: Endpoint) -> str:
    """Shared by every entry that reaches the same address and expects the same certificate there."""
    if endpoint.tls and endpoint.tls_name != endpoint.host:
        return f"{endpoint.upstream}/{endpoint.tls_name}"
    return endpoint.upstream


def provider_cluster(endpoint: Endpoint, deployment: Deployment) -> Cluster:
    cluster = _cluster(
        provider_cluster_name(endpoint),
        [TcpAddress(endpoint.host, endpoint.port)],
        _provider_protocol(endpoint),
        connect_timeout_s=CONNECT_TIMEOUT_S,
        # A public API's name leads to balancers: any one address will do, the first that connects (RFC 8305), and a
        # change of DNS must not cut streams short. A name behind plain HTTP is a group of one's own servers: use all.
        one_address_will_do=endpoint.tls,
    )
    cluster.outlier_detection = _failing()
    cluster.circuit_breakers = _limits(MAX_AT_PROVIDER)
    # Finds dead peers during long silences, where a model thinks: after 60 s, in 3 tries 10 s apart.
    cluster.upstream_connection_options = UpstreamConnectionOptions(
        tcp_keepalive=TcpKeepalive(keepalive_time=60, keepalive_interval=10, keepalive_probes=3)
    )
    # Starting must not wait for a resolver that is slow or has never heard of one of the providers.
    cluster.wait_for_warm_on_init = False
    if endpoint.tls:
        cluster.transport_socket = TransportSocket(
            name="envoy.transport_sockets.tls", typed_config=Packed(_tls(endpoint, deployment))
        )
    return cluster


def _provider_protocol(endpoint: Endpoint) -> UpstreamProtocolOptions:
    if not endpoint.tls:
        return UpstreamProtocolOptions(
            common_http_protocol_options=HttpProtocolOptions(idle_timeout=seconds(HTTP_IDLE_S)),
            explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(http_protocol_options=Http1ProtocolOptions()),
        )
    return UpstreamProtocolOptions(
        common_http_protocol_options=HttpProtocolOptions(idle_timeout=seconds(HTTPS_IDLE_S)),
        # HTTP/2 where the provider offers it in the TLS handshake (ALPN), HTTP/1.1 where not.
        auto_config=HttpProtocolOptionsAutoHttpConfig(
            http_protocol_options=Http1ProtocolOptions(),
            http2_protocol_options=Http2ProtocolOptions(
                connection_keepalive=KeepaliveSettings(interval=seconds(30), timeout=seconds(10))
            ),
        ),
    )


def _tls(endpoint: Endpoint, deployment: Deployment) -> UpstreamTlsContext:
    san_type = SubjectAltNameMatcherSanType.DNS if endpoint.sni else SubjectAltNameMatcherSanType.IP_ADDRESS
    return UpstreamTlsContext(
        sni=endpoint.sni,
        common_tls_context=CommonTlsContext(
            tls_params=TlsParameters(tls_minimum_protocol_version=TlsParametersTlsProtocol.TLSv1_2),
            validation_context=CertificateValidationContext(
                trusted_ca=DataSource(filename=deployment.ca_file),
                match_typed_subject_alt_names=[
                    SubjectAltNameMatcher(san_type=san_type, matcher=StringMatcher(exact=endpoint.tls_name))
                ],
            ),
        ),
    )


def _cluster(
    name: str,
    addresses: Sequence[Address],
    protocol: UpstreamProtocolOptions,
    *,
    connect_timeout_s: float,
    lb_policy: ClusterLbPolicy = ClusterLbPolicy.LEAST_REQUEST,
    health_checks: Sequence[HealthCheck] = (),
    one_address_will_do: bool = False,
) -> Cluster:
    cluster = Cluster(
        name=name,
        alt_stat_name=_stat_name(name),
        connect_timeout=seconds(connect_timeout_s),
        lb_policy=lb_policy,
        load_assignment=_assignment(name, [_envoy_address(address) for address in addresses]),
        typed_extension_protocol_options={"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": Packed(protocol)},
        circuit_breakers=_limits(MAX_CONCURRENT),
        health_checks=list(health_checks),
    )
    if any(isinstance(address, TcpAddress) and not is_ip(address.host) for address in addresses):
        cluster.cluster_type = ClusterCustomClusterType(
            name="envoy.cluster.dns",
            typed_config=Packed(
                DnsCluster(dns_lookup_family=DnsLookupFamily.ALL, all_addresses_in_single_endpoint=one_address_will_do)
            ),
        )
    else:
        cluster.type = ClusterDiscoveryType.STATIC
    return cluster


def _assignment(name: str, addresses: Sequence[EnvoyAddress]) -> ClusterLoadAssignment:
    return ClusterLoadAssignment(
        cluster_name=name,
        endpoints=[
            LocalityLbEndpoints(
                lb_endpoints=[LbEndpoint(endpoint=EnvoyEndpoint(address=address)) for address in addresses]
            )
        ],
    )


def _envoy_address(address: Address) -> EnvoyAddress:
    match address:
        case UnixAddress(path):
            return EnvoyAddress(pipe=Pipe(path=path))
        case TcpAddress(host, port):
            return EnvoyAddress(socket_address=SocketAddress(address=host, port_value=port))


def _limits(most: int) -> CircuitBreakers:
    return CircuitBreakers(
        thresholds=[
            CircuitBreakersThresholds(
                max_connections=most, max_pending_requests=most, max_requests=most, max_retries=most
            )
        ]
    )


def _stat_name(name: str) -> str:
    """The cluster's name in statistics. A dot separates levels there, and would cut the name short as a label."""
    return name.replace(".", "_")
