"""Ports before anything starts: what is taken is named, what is free is free."""

import socket

import pytest

from router_service.config.service import TcpAddress
from router_service.errors import SetupError
from router_service.up.ports import ensure_free, free_ports


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_is_named_with_the_option_that_chooses_another(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        address = TcpAddress(host, taken.getsockname()[1])
        with pytest.raises(SetupError) as refused:
            ensure_free(address, "clients", "--port")

    assert str(refused.value) == (
        f"Port {address.port} is not free for clients ({address}: Address already in use). "
        "Stop what uses it, or choose another port with --port."
    )


def test_free_ports_are_free_and_different() -> None:
    ports = free_ports(3)

    assert len(set(ports)) == 3
    for port in ports:
        ensure_free(TcpAddress("127.0.0.1", port), "clients", "--port")
