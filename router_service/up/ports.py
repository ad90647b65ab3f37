"""Ports that are free, checked before anything starts: Envoy would share one silently with another Envoy."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from router_service.config.service import TcpAddress
from router_service.errors import SetupError


def ensure_free(address: TcpAddress, what: str, option: str) -> None:
    """Raise SetupError if `what` could not listen there, naming the `option` that chooses another port."""
    try:
        with _bound(address):
            return
    except OSError as error:
        raise SetupError(
            f"Port {address.port} is not free for {what} ({address}: {error.strerror}). "
            f"Stop what uses it, or choose another port with {option}."
        ) from error


def free_ports(count: int) -> list[int]:
    """Ports that were free on loopback a moment ago, all different."""
    with ExitStack() as stack:
        return [stack.enter_context(_bound(TcpAddress("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


def _bound(address: TcpAddress) -> socket.socket:
    """A socket that holds the address. Without SO_REUSEPORT: sharing is what must not happen."""
    family, kind, protocol, _, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    holder = socket.socket(family, kind, protocol)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT does not count
        holder.bind(where)
    except BaseException:
        holder.close()
        raise
    return holder
