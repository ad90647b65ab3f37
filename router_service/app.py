"""The composition root: builds what one worker process needs, once, and serves until told to stop.

Nothing else builds anything; everything is passed down. A worker is one gRPC server with three services: the external
processor, gRPC health, and (asked for) reflection.
"""

from __future__ import annotations

import asyncio

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from router_service.classify import Classifier
from router_service.config.models import Config
from router_service.extproc.servicer import SERVICE_NAME, ExternalProcessor, Recorder, Rules
from router_service.routing.catalog import Catalog

# What a message is larger than the body it carries; Envoy adds less than a kilobyte.
MESSAGE_OVERHEAD_BYTES = 64 * 1024


class Worker:
    """One gRPC server; `start`, then `drain` when it is to end."""

    def __init__(self, config: Config, catalog: Catalog, classifier: Classifier, recorder: Recorder) -> None:
        self._service = config.service
        limit = config.limits.max_body_bytes + MESSAGE_OVERHEAD_BYTES
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                ("grpc.so_reuseport", 0),  # two workers on one port are a mistake, not a feature
            ]
        )
        rules = Rules(catalog, classifier, config.limits.max_body_bytes)
        self._server.add_generic_rpc_handlers([ExternalProcessor(rules, recorder).handler()])
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def reflect(self) -> None:
        """Let grpcurl and its like see the services."""
        names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def start(self, address: str) -> int:
        """Listen on `host:port` or `unix:PATH`; the bound port, 1 for a socket. RuntimeError if it is taken."""
        port: int = self._server.add_insecure_port(address)
        await self._server.start()
        await self._health.set(SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def drain(self) -> None:
        """Tell Envoy to look elsewhere, give it time to notice, then finish the requests under way."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._service.drain_delay)
        await self._server.stop(grace=self._service.drain_timeout)
