"""What Envoy reads first: who it is, its admin on loopback, and the directory with everything else."""

from __future__ import annotations

from envoy_data_plane.envoy.config.bootstrap.v3 import Admin, Bootstrap, BootstrapDynamicResources
from envoy_data_plane.envoy.config.core.v3 import Address, Node, SocketAddress
from envoy_data_plane.envoy.config.overload.v3 import OverloadManager, ResourceMonitor
from envoy_data_plane.envoy.extensions.bootstrap.internal_listener.v3 import InternalListener
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections.v3 import DownstreamConnectionsConfig

from router_service.dataplane.deployment import Deployment
from router_service.dataplane.messages import extension, watched_file
from router_service.dataplane.protojson import Packed

# Far above what one Envoy serves, below what exhausts the usual limit of a million open files.
MAX_DOWNSTREAM_CONNECTIONS = 100_000


def bootstrap(deployment: Deployment) -> Bootstrap:
    return Bootstrap(
        node=Node(id=deployment.node_id, cluster=deployment.node_cluster),
        admin=Admin(
            address=Address(
                # Whoever reaches the admin can stop Envoy and read its configuration: loopback, and no option for more.
                socket_address=SocketAddress(address="127.0.0.1", port_value=deployment.admin_port)
            ),
        ),
        dynamic_resources=BootstrapDynamicResources(
            lds_config=watched_file(deployment.directory, "lds.json"),
            cds_config=watched_file(deployment.directory, "cds.json"),
        ),
        bootstrap_extensions=[extension("envoy.bootstrap.internal_listener", InternalListener())],
        overload_manager=OverloadManager(
            resource_monitors=[
                ResourceMonitor(
                    name="envoy.resource_monitors.global_downstream_max_connections",
                    typed_config=Packed(
                        DownstreamConnectionsConfig(max_active_downstream_connections=MAX_DOWNSTREAM_CONNECTIONS)
                    ),
                )
            ]
        ),
    )
