"""The Envoy that ends TLS in front of a router lets in who has a certificate of the authority, and nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest
import trustme
import yaml
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.support.envoy import Envoy

COMPONENT = Path(__file__).parents[2] / "deploy" / "kubernetes" / "components" / "router-mtls"
NAME = "router.router-service.svc.cluster.local"


@asynccontextmanager
async def terminator(authority: trustme.CA) -> AsyncIterator[int]:
    """The component's files with this machine's paths and ports, in front of a gRPC health service on a socket."""
    with TemporaryDirectory(prefix="mtls-") as name:
        directory = Path(name)
        certificate = authority.issue_cert(NAME)
        certificate.private_key_pem.write_to_path(directory / "tls.key")
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(directory / "tls.crt", append=True)
        authority.cert_pem.write_to_path(directory / "ca.crt")
        for file in ("bootstrap.yaml", "certificate.yaml", "authority.yaml"):
            text = (COMPONENT / file).read_text()
            for there in ("/run/certificates", "/etc/router-mtls", "/run/router-service"):
                text = text.replace(there, name)
            text = text.replace("0.0.0.0", "127.0.0.1").replace("9901", "0").replace("9910", "0")
            (directory / file).write_text(text)
        # The name that tests start an Envoy with; Envoy tells the format by it.
        bootstrap = yaml.safe_load((directory / "bootstrap.yaml").read_text())
        (directory / "bootstrap.json").write_text(json.dumps(bootstrap))
        server = grpc.aio.server()
        health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
        server.add_insecure_port(f"unix:{name}/router.sock")
        await server.start()
        try:
            async with Envoy(directory) as envoy:
                yield envoy.port("mtls")
        finally:
            await server.stop(None)


async def status(port: int, credentials: grpc.ChannelCredentials) -> health_pb2.HealthCheckResponse.ServingStatus:
    options = (("grpc.ssl_target_name_override", NAME),)
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        checked: health_pb2.HealthCheckResponse = await health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(), timeout=10
        )
        return checked.status


def credentials(trusted: trustme.CA, client: trustme.CA | None) -> grpc.ChannelCredentials:
    if client is None:
        return grpc.ssl_channel_credentials(trusted.cert_pem.bytes())
    own = client.issue_cert("gateway")
    chain = b"".join(blob.bytes() for blob in own.cert_chain_pems)
    return grpc.ssl_channel_credentials(trusted.cert_pem.bytes(), own.private_key_pem.bytes(), chain)


async def test_a_gateway_with_a_certificate_reaches_the_router() -> None:
    authority = trustme.CA()
    async with terminator(authority) as port:
        assert await status(port, credentials(authority, authority)) == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("client", [None, trustme.CA()], ids=["no certificate", "a certificate of somebody else's"])
async def test_nobody_else_does(client: trustme.CA | None) -> None:
    authority = trustme.CA()
    async with terminator(authority) as port:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await status(port, credentials(authority, client))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
