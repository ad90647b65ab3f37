"""A scripted external processor: a test says what it answers, and sees what Envoy sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from router_service._generated.core_pb2 import HeaderValue, HeaderValueOption
from router_service._generated.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from router_service.config.service import Address, UnixAddress, parse_address
from router_service.extproc.servicer import SERVICE_NAME


@dataclass(slots=True)
class Exchange:
    """One stream: what Envoy has sent of one request so far."""

    messages: list[ProcessingRequest] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def headers(self) -> dict[str, str]:
        headers = self.messages[0].request_headers.headers.headers
        return {header.key: header.raw_value.decode() for header in headers}

    @property
    def body(self) -> bytes:
        return b"".join(message.request_body.body for message in self.messages)


Script = Callable[[Exchange], Awaitable[ProcessingResponse]]


def route_to(
    upstream: str,
    *,
    body: bytes | None = None,
    sets: Mapping[str, str] | None = None,
    clear: bool = True,
    **metadata: str,
) -> ProcessingResponse:
    """The reply to a body that sends the request to a cluster; `sets` are further headers."""
    reply = ProcessingResponse()
    common = reply.request_body.response
    common.clear_route_cache = clear
    add_header(common.header_mutation.set_headers.add(), "x-router-upstream", upstream)
    if body is not None:
        common.body_mutation.body = body
        add_header(common.header_mutation.set_headers.add(), "content-length", str(len(body)))
    for key, value in (sets or {}).items():
        add_header(common.header_mutation.set_headers.add(), key, value)
    for key, value in metadata.items():
        reply.dynamic_metadata.fields["router_service"].struct_value.fields[key].string_value = value
    return reply


def add_header(option: HeaderValueOption, key: str, value: str) -> None:
    option.header.CopyFrom(HeaderValue(key=key, raw_value=value.encode()))
    option.append_action = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


def no_change() -> ProcessingResponse:
    """The reply to a body that sets nothing, not even a route."""
    reply = ProcessingResponse()
    reply.request_body.SetInParent()
    return reply


def answer(status: int, body: bytes, details: str = "router_test") -> ProcessingResponse:
    """The reply that answers the client at once."""
    reply = ProcessingResponse()
    immediate = reply.immediate_response
    immediate.status.code = status
    immediate.body = body
    immediate.details = details
    add_header(immediate.headers.set_headers.add(), "content-type", "application/json")
    return reply


async def route_by_model(exchange: Exchange) -> ProcessingResponse:
    """The default script: the cluster of the entry that the body's `model` names."""
    return route_to(f"model/{json.loads(exchange.body)['model']}", model="chosen/model")


class ScriptedRouter:
    """`async with ScriptedRouter() as router`: serves at an address; `script` is called for each body."""

    def __init__(self, listen: str = "127.0.0.1:0") -> None:
        self.script: Script = route_by_model
        self.exchanges: list[Exchange] = []
        self.address: Address = UnixAddress("")
        self._listen = listen
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        self._health = health.aio.HealthServicer()

    async def process(self, _: object, context: grpc.aio.ServicerContext) -> None:
        """Like the real one: replies to the headers, then to the body, and closes the stream."""
        exchange = Exchange()
        self.exchanges.append(exchange)
        while (message := await context.read()) is not grpc.aio.EOF:
            exchange.messages.append(cast(ProcessingRequest, message))
            if message.HasField("request_headers") and not message.request_headers.end_of_stream:
                reply = ProcessingResponse()
                reply.request_headers.SetInParent()
                await context.write(reply)
                continue
            try:
                await context.write(await self.script(exchange))
            except asyncio.CancelledError:
                exchange.cancelled.set()
                raise
            return

    async def set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        await self._health.set(SERVICE_NAME, status)

    async def __aenter__(self) -> Self:
        handler = grpc.stream_stream_rpc_method_handler(
            self.process,
            request_deserializer=ProcessingRequest.FromString,
            response_serializer=ProcessingResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE_NAME, {"Process": handler}),)
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        await self.set_health(health_pb2.HealthCheckResponse.SERVING)
        port = self._server.add_insecure_port(self._listen)
        self.address = parse_address(self._listen.replace(":0", f":{port}"))
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """At once, as a killed process would."""
        await self._server.stop(grace=None)
