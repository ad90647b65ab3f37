"""Where the workers listen and where Envoy finds them: one rule, for both sides.

Worker 0 is at `service.listen` itself. Worker N is N ports further on (`127.0.0.1:9900` -> `127.0.0.1:9901`), or at the
socket with N for a suffix (`unix:/run/router.sock` -> `unix:/run/router.sock.1`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from router_service.config.models import Service

# sockaddr_un.sun_path on Linux, less its final NUL and the longest worker suffix (`.255`).
MAX_SOCKET_PATH_BYTES = 107 - 4

_HOST_PORT = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:/\s]+)):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """`host` is a name or a literal, IPv6 without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress  # `str` of either is what was parsed, and a gRPC target


def parse_address(text: str) -> Address:
    """`host:port`, `[ipv6]:port` or `unix:PATH`. Raises ValueError with what to write instead."""
    scheme, _, path = text.partition(":")
    if scheme == "unix":
        if not path or "\0" in path:
            raise ValueError(f"'{text}' names no socket; write unix:/run/router.sock")
        if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
            raise ValueError(f"the socket path is longer than {MAX_SOCKET_PATH_BYTES} bytes; choose a shorter one")
        return UnixAddress(path)
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not an address; write host:port, [ipv6]:port or unix:/run/router.sock")
    port = int(match["port"])
    if not 1 <= port <= 65535:
        raise ValueError(f"{port} is not a port; write a number from 1 to 65535")
    return TcpAddress(match["ipv6"] or match["host"], port)


def worker_address(first: Address, worker: int) -> Address:
    """The address of worker N, `first` being worker 0's. Raises ValueError where the ports run out."""
    match first:
        case UnixAddress(path):
            return UnixAddress(f"{path}.{worker}") if worker else first
        case TcpAddress(host, port):
            if port + worker > 65535:
                raise ValueError(f"worker {worker} would need port {port + worker}; start from a lower port")
            return TcpAddress(host, port + worker)


def service_addresses(service: Service) -> tuple[Address, ...]:
    """One address per worker, in order. Raises ValueError as `parse_address` and `worker_address` do."""
    first = parse_address(service.listen)
    return tuple(worker_address(first, worker) for worker in range(service.workers))
