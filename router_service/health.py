"""Whether each worker takes requests: asked over gRPC's health protocol, for the service that Envoy calls.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from router_service.config.service import Address
from router_service.extproc.servicer import SERVICE_NAME

# A worker that cannot say so within a second does not route requests either.
TIMEOUT_S = 1.0

_CHANNEL_OPTIONS = (
    # A restarted worker must be found at once; gRPC would otherwise wait up to two minutes between attempts.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),  # the workers are ours, whatever http_proxy says
)


@dataclass(frozen=True, slots=True)
class Component:
    """One part of the service; `problem` is None while it is ready."""

    name: str
    problem: str | None = None


class WorkerHealth:
    """A channel per worker, kept open."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._channels = [grpc.aio.insecure_channel(str(address), options=_CHANNEL_OPTIONS) for address in addresses]
        self._stubs = [health_pb2_grpc.HealthStub(channel) for channel in self._channels]

    async def check(self) -> tuple[Component, ...]:
        """Every worker at once; takes TIMEOUT_S at most."""
        problems = await asyncio.gather(*(_problem(stub) for stub in self._stubs))
        return tuple(Component(f"worker-{index}", problem) for index, problem in enumerate(problems))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels:
            await channel.close()


_STATES = {
    health_pb2.HealthCheckResponse.SERVING: None,
    health_pb2.HealthCheckResponse.NOT_SERVING: "not serving",  # draining, or not ready yet
}


async def _problem(stub: health_pb2_grpc.HealthStub) -> str | None:
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE_NAME), timeout=TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no answer within {TIMEOUT_S:g} s"
        return (
            "not reachable"
            if error.code() is grpc.StatusCode.UNAVAILABLE
            else error.code().name.lower().replace("_", " ")
        )
    return _STATES.get(answer.status, "unknown")
