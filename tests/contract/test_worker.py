"""One worker over a real gRPC channel: what Envoy and operators meet at its socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from router_service._generated.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from router_service.app import Worker
from router_service.config.build import build_catalog
from router_service.config.models import Config
from router_service.errors import RequestError
from router_service.extproc.servicer import SERVICE_NAME
from router_service.routing.conversation import Conversation
from router_service.routing.decision import Classification, Decision, Reason

PROCESS = f"/{SERVICE_NAME}/Process"
CONFIG = Config.model_validate(
    {
        "model_providers": [{"model": "openai/small", "default": True}],
        "routing_preferences": [{"name": "code", "description": "writing code", "models": ["small"]}],
        "service": {"drain_delay": "0s", "drain_timeout": "10s"},
    }
)


class GatedClassifier:
    """Answers `no_route` once the gate is open."""

    backend = "embedded"

    def __init__(self) -> None:
        self.asked, self.gate = asyncio.Event(), asyncio.Event()

    async def classify(self, conversation: Conversation) -> Classification:
        self.asked.set()
        await self.gate.wait()
        return Classification(Reason.NO_ROUTE, backend=self.backend)

    async def aclose(self) -> None:
        pass


class Silent:
    """A recorder that keeps nothing."""

    def stream_opened(self) -> None: ...

    def stream_closed(self) -> None: ...

    def decided(self, decision: Decision, *, request_id: str, seconds: float) -> None: ...

    def rejected(self, error: RequestError, *, request_id: str, seconds: float) -> None: ...

    def failed(self, error: Exception, *, request_id: str) -> None:
        raise error


@asynccontextmanager
async def running_worker(tmp_path: Path) -> AsyncIterator[tuple[Worker, GatedClassifier, grpc.aio.Channel]]:
    classifier = GatedClassifier()
    worker = Worker(CONFIG, build_catalog(CONFIG), classifier, Silent())
    worker.reflect()
    address = f"unix:{tmp_path}/worker.sock"
    await worker.start(address)
    limit = ("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)
    async with grpc.aio.insecure_channel(address, options=limit) as channel:
        yield worker, classifier, channel
    await worker.drain()


def headers() -> ProcessingRequest:
    request = ProcessingRequest()
    for key, value in ((":method", b"POST"), (":path", b"/v1/chat/completions")):
        request.request_headers.headers.headers.add(key=key, raw_value=value)
    return request


def body(model: str, pad: str = "") -> ProcessingRequest:
    request = ProcessingRequest()
    request.request_body.body = json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "hi"}], "pad": pad}
    ).encode()
    return request


async def exchange(channel: grpc.aio.Channel, *messages: ProcessingRequest) -> list[ProcessingResponse]:
    call = channel.stream_stream(
        PROCESS,
        request_serializer=ProcessingRequest.SerializeToString,
        response_deserializer=ProcessingResponse.FromString,
    )()
    for message in messages:
        await call.write(message)
    return [reply async for reply in call]  # ends when the worker has said its last word


def health_of(channel: grpc.aio.Channel) -> Callable[[str], Awaitable[int]]:
    stub = health_pb2_grpc.HealthStub(channel)

    async def check(service: str) -> int:
        reply = await stub.Check(health_pb2.HealthCheckRequest(service=service))
        return int(reply.status)

    return check


async def test_the_worker_ends_the_stream_after_its_decision(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as (_, _, channel):
        replies = await exchange(channel, headers(), body("openai/small"))
    assert [reply.WhichOneof("response") for reply in replies] == ["request_headers", "request_body"]


async def test_a_body_of_the_limit_passes_the_grpc_message_limit(tmp_path: Path) -> None:
    limit = CONFIG.limits.max_body_bytes
    async with running_worker(tmp_path) as (_, _, channel):
        room = limit - len(body("openai/small").request_body.body)
        fits = await exchange(channel, headers(), body("openai/small", "x" * room))
        too_large = await exchange(channel, headers(), body("openai/small", "x" * (room + 1)))
    assert len(fits[1].request_body.response.body_mutation.body) == limit - len("openai/")
    assert too_large[1].immediate_response.status.code == 413


async def test_health_and_reflection_name_the_external_processor(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as (_, _, channel):
        assert await health_of(channel)(SERVICE_NAME) == health_pb2.HealthCheckResponse.SERVING
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        listed = [reply async for reply in stub.ServerReflectionInfo(iter([ask]))]
        names = {service.name for service in listed[0].list_services_response.service}
    assert SERVICE_NAME in names


async def test_draining_tells_health_first_and_finishes_what_is_under_way(tmp_path: Path) -> None:
    async with running_worker(tmp_path) as (worker, classifier, channel):
        watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE_NAME))
        assert (await watched.read()).status == health_pb2.HealthCheckResponse.SERVING
        under_way = asyncio.create_task(exchange(channel, headers(), body("auto")))
        await classifier.asked.wait()
        drained = asyncio.create_task(worker.drain())
        assert (await watched.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watched.cancel()
        assert not drained.done()
        classifier.gate.set()
        replies = await under_way
        await drained
    assert replies[1].WhichOneof("response") == "request_body"
