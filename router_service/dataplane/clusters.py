"""Where Envoy connects to: the service's workers, pools of models, the models' internal listeners, the providers.

Two entries at one scheme, host and port share a cluster, and so its connections, limits and health; only where they
expect different certificates there are two.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoy_data_plane.envoy.config.cluster.v3 import (
    CircuitBreakers,
    CircuitBreakersThresholds,
    Cluster,
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

from router_service.config.models import ModelProvider
from router_service.config.providers import Endpoint, is_ip
from router_service.config.service import Address, TcpAddress, UnixAddress
from router_service.dataplane.deployment import Deployment, reachable
from router_service.dataplane.messages import seconds
from router_service.dataplane.pools import Pool, member_key
from router_service.dataplane.protojson import Packed

SERVICE_CLUSTER = "router-service"
SERVICE_NAME = "envoy.service.ext_proc.v3.ExternalProcessor"  # what the workers' gRPC health service answers for

# Envoy's default of 1024 is for services that answer in milliseconds; an LLM holds each request for many seconds.
MAX_CONCURRENT = 65_536

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
    """The way to one model's internal listener, which has the same name."""
    name = model_cluster_name(entry)
    return Cluster(
        name=name,
        alt_stat_name=_stat_name(name),
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=seconds(1),
        load_assignment=_assignment(
            name, [EnvoyAddress(envoy_internal_address=EnvoyInternalAddress(server_listener_name=name))]
        ),
        circuit_breakers=_limits(),
    )


def pool_cluster(pool: Pool) -> Cluster:
    """Attempt N goes to member N. More attempts than members would end in an answer of Envoy's own."""
    members = [ClusterConfigClusterEntry(name=f"model/{member_key(target)}") for target in pool.members]
    return Cluster(
        name=pool.cluster,
        alt_stat_name=_stat_name(pool.cluster),
        connect_timeout=seconds(1),
        lb_policy=ClusterLbPolicy.CLUSTER_PROVIDED,
        cluster_type=ClusterCustomClusterType(
            name="envoy.clusters.composite", typed_config=Packed(CompositeClusterConfig(clusters=members))
        ),
        circuit_breakers=_limits(),  # the number of retries under way is the pool's, not its members'
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
        circuit_breakers=_limits(),
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


def _limits() -> CircuitBreakers:
    return CircuitBreakers(
        thresholds=[
            CircuitBreakersThresholds(
                max_connections=MAX_CONCURRENT,
                max_pending_requests=MAX_CONCURRENT,
                max_requests=MAX_CONCURRENT,
                max_retries=MAX_CONCURRENT,
            )
        ]
    )


def _stat_name(name: str) -> str:
    """The cluster's name in statistics. A dot separates levels there, and would cut the name short as a label."""
    return name.replace(".", "_")
