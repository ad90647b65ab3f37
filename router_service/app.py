"""The composition root: builds what one worker process needs, once, and serves until told to stop.

Nothing else builds anything; everything is passed down. A worker is one gRPC server with three services: the external
processor, gRPC health, and (asked for) reflection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from router_service.classify import Classifier
from router_service.classify.embedded import EmbeddedClassifier
from router_service.classify.encoder import configured_encoder
from router_service.classify.facts import Facts
from router_service.classify.opening import open_classifier
from router_service.config.load import Loaded
from router_service.config.models import Config
from router_service.errors import SetupError
from router_service.extproc import servicer
from router_service.extproc.servicer import SERVICE_NAME, ExternalProcessor, Rules
from router_service.routing.catalog import Catalog
from router_service.routing.ranking import Standings
from router_service.selection.opening import kept_up_to_date, open_selection
from router_service.telemetry.logs import Log
from router_service.telemetry.metrics import Metrics
from router_service.telemetry.recorder import Recorder
from router_service.waiting import stop_signal

# What a message is larger than the body it carries; Envoy adds less than a kilobyte.
MESSAGE_OVERHEAD_BYTES = 64 * 1024


class Worker:
    """One gRPC server; `start`, then `drain` when it is to end."""

    def __init__(
        self,
        config: Config,
        catalog: Catalog,
        classifier: Classifier,
        recorder: servicer.Recorder,
        *,
        standings: Callable[[], Standings] = Standings,
    ) -> None:
        self._service = config.service
        limit = config.limits.max_body_bytes + MESSAGE_OVERHEAD_BYTES
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                ("grpc.so_reuseport", 0),  # two workers on one port are a mistake, not a feature
            ]
        )
        rules = Rules(catalog, classifier, config.limits.max_body_bytes, standings)
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


async def run_worker(loaded: Loaded, address: str, metrics: Metrics, log: Log, *, reflection: bool = False) -> None:
    """One worker's life: serve at `address` until a signal comes, then drain. Raises SetupError where it cannot."""
    stop = stop_signal()
    async with (
        open_classifier(
            loaded.config,
            loaded.catalog,
            open_embedded=lambda: open_embedded(loaded),
            watcher=ModelServerLog(log, loaded.config.router.model),
            meter=metrics,
        ) as classifier,
        open_selection(loaded.config, loaded.catalog, SourceRecorder(metrics, log)) as selection,
        kept_up_to_date(selection),
    ):
        worker = Worker(
            loaded.config,
            loaded.catalog,
            classifier,
            Recorder(metrics, log),
            standings=lambda: selection.standings,
        )
        if reflection:
            worker.reflect()
        try:
            await worker.start(address)
        except RuntimeError as error:
            raise SetupError(f"Cannot listen on {address}; stop what does, or choose another --listen.") from error
        await stop
        await worker.drain()


def open_embedded(loaded: Loaded) -> Classifier:
    """The classifier in this process, with the encoder that the configuration names."""
    encoder = configured_encoder(loaded.config.router.embedded)
    return EmbeddedClassifier(loaded.catalog.preferences, encoder, loaded.config.router, loaded.fitted)


class ModelServerLog:
    """A log line when a server with the routing model is found, when it is lost, and when it lacks the model."""

    def __init__(self, log: Log, model: str) -> None:
        self._log = log
        self._model = model

    def found(self, address: str, facts: Facts) -> None:
        if not facts.serves_model:
            served = [model.id for model in facts.served]
            self._log.warning("model_not_served", address=address, model=self._model, served=served)
            return
        self._log.info(
            "model_server_found",
            address=address,
            version=facts.version,
            constrained=facts.constrained,
            stops_early=facts.first_guess_tokens is not None,
            weighs=facts.weighs,
        )

    def lost(self, address: str, why: str) -> None:
        self._log.warning("model_server_lost", address=address or None, cause=why)


class SourceRecorder:
    """Metrics of every reading of a source of prices or latencies, and a log line when it is found or lost."""

    def __init__(self, metrics: Metrics, log: Log) -> None:
        self._metrics = metrics
        self._log = log

    def source_read(self, source: str, models: int, at: float, *, is_new: bool) -> None:
        self._metrics.source_read(source, models, at)
        if is_new:
            self._log.info("metrics_source_read", provider=source, models=models)

    def source_failed(self, source: str, why: str, *, is_new: bool) -> None:
        self._metrics.source_failed(source)
        if is_new:
            self._log.warning("metrics_source_failed", provider=source, cause=why)
