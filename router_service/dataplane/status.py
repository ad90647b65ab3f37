"""What others may ask of a running Envoy: metrics and health on a port of their own, and nothing else of its admin.

The admin interface can stop Envoy and print its configuration, so it stays on loopback. This listener passes one path
of it on, under the names that the service's own admin has:

    /metrics   the admin's /stats/prometheus
    /livez     200: Envoy answers
    /readyz    200 while Envoy is not draining and a worker is healthy, 503 otherwise
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import Address as EnvoyAddress
from envoy_data_plane.envoy.config.core.v3 import DataSource, SocketAddress
from envoy_data_plane.envoy.config.endpoint.v3 import (
    ClusterLoadAssignment,
    Endpoint,
    LbEndpoint,
    LocalityLbEndpoints,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    DirectResponseAction,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager

from router_service.config.service import TcpAddress
from router_service.dataplane.filters import health_check, router_filter
from router_service.dataplane.messages import seconds
from router_service.dataplane.protojson import Packed

NAME = "status"
ADMIN_CLUSTER = "envoy/admin"


def status_listener(address: TcpAddress) -> Listener:
    manager = HttpConnectionManager(
        stat_prefix=NAME,
        route_config=RouteConfiguration(
            name=NAME,
            virtual_hosts=[
                VirtualHost(
                    name=NAME,
                    domains=["*"],
                    routes=[
                        Route(
                            name="metrics",
                            match=RouteMatch(path="/metrics"),
                            route=RouteAction(cluster=ADMIN_CLUSTER, prefix_rewrite="/stats/prometheus"),
                        ),
                        Route(
                            name="livez",
                            match=RouteMatch(path="/livez"),
                            direct_response=DirectResponseAction(status=200, body=DataSource(inline_string="ok\n")),
                        ),
                    ],
                )
            ],
        ),
        http_filters=[health_check("/readyz"), router_filter()],
    )
    return Listener(
        name=NAME,
        address=EnvoyAddress(socket_address=SocketAddress(address=address.host, port_value=address.port)),
        filter_chains=[
            FilterChain(
                filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=Packed(manager))]
            )
        ],
        # One that is out of connections or memory should still say so.
        ignore_global_conn_limit=True,
    )


def admin_cluster(port: int) -> Cluster:
    """The way to this Envoy's own admin."""
    address = EnvoyAddress(socket_address=SocketAddress(address="127.0.0.1", port_value=port))
    return Cluster(
        name=ADMIN_CLUSTER,
        type=ClusterDiscoveryType.STATIC,
        connect_timeout=seconds(1),
        load_assignment=ClusterLoadAssignment(
            cluster_name=ADMIN_CLUSTER,
            endpoints=[LocalityLbEndpoints(lb_endpoints=[LbEndpoint(endpoint=Endpoint(address=address))])],
        ),
    )
