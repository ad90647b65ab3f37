"""The rule by which workers and Envoy find each other."""

from __future__ import annotations

import pytest

from router_service.config.models import Service
from router_service.config.service import Address, TcpAddress, UnixAddress, parse_address, service_addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("127.0.0.1:9900", TcpAddress("127.0.0.1", 9900), id="IPv4"),
        pytest.param("[::1]:9900", TcpAddress("::1", 9900), id="IPv6 literal"),
        pytest.param("router-service.llm.svc:9900", TcpAddress("router-service.llm.svc", 9900), id="name"),
        pytest.param("unix:/run/router.sock", UnixAddress("/run/router.sock"), id="socket"),
        pytest.param("unix:router.sock", UnixAddress("router.sock"), id="socket relative to here"),
    ],
)
def test_an_address_is_written_as_it_was_read(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("9900", "'9900' is not an address; write host:port", id="port alone"),
        pytest.param("::1:9900", "'::1:9900' is not an address", id="IPv6 without brackets"),
        pytest.param("localhost:", "'localhost:' is not an address", id="no port"),
        pytest.param("localhost:0", "0 is not a port", id="port zero"),
        pytest.param("localhost:65536", "65536 is not a port", id="port too high"),
        pytest.param("http://localhost:9900", "'http://localhost:9900' is not an address", id="URL"),
        pytest.param("unix:", "'unix:' names no socket", id="socket without path"),
        pytest.param("unix:/" + "s" * 103, "the socket path is longer than 103 bytes", id="socket path too long"),
    ],
)
def test_what_is_not_an_address_is_refused_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_address(text)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("listen", "addresses"),
    [
        pytest.param("127.0.0.1:9900", ["127.0.0.1:9900", "127.0.0.1:9901", "127.0.0.1:9902"], id="ports count up"),
        pytest.param("[::]:9900", ["[::]:9900", "[::]:9901", "[::]:9902"], id="IPv6"),
        pytest.param("unix:/s", ["unix:/s", "unix:/s.1", "unix:/s.2"], id="sockets carry the worker's number"),
    ],
)
def test_every_worker_has_an_address_and_the_first_is_the_configured_one(listen: str, addresses: list[str]) -> None:
    assert [str(address) for address in service_addresses(Service(listen=listen, workers=3))] == addresses


def test_ports_past_the_last_are_refused() -> None:
    with pytest.raises(ValueError, match="worker 1 would need port 65536"):
        service_addresses(Service(listen="127.0.0.1:65535", workers=2))
