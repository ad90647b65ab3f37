"""What the configuration file does not say: where one Envoy runs, and what it finds there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from router_service.config.service import Address, TcpAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """`directory` is the absolute path under which Envoy sees the rendered files, `service` where it finds the workers.

    `ca_file` holds the certificate authorities that may vouch for a provider. `access_log` is a file; None is standard
    output. `status` is where Envoy's metrics and health are served, if anywhere. `node_id` and `node_cluster` name this
    Envoy in its own reports, and SDS needs both to be set.
    """

    directory: str
    service: tuple[Address, ...]
    ca_file: str
    admin_port: int = 9901
    node_id: str = "router-service"
    node_cluster: str = "router-service"
    access_log: str | None = None
    status: TcpAddress | None = None


def reachable(address: Address) -> Address:
    """`address` as a client on the same machine writes it: nobody connects to `0.0.0.0`."""
    if not isinstance(address, TcpAddress):
        return address
    try:
        ip = ipaddress.ip_address(address.host)
    except ValueError:
        return address
    if not ip.is_unspecified:
        return address
    return TcpAddress("127.0.0.1" if ip.version == 4 else "::1", address.port)
