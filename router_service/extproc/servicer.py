"""The gRPC edge of ext_proc: reads a message, lets `Stream` decide, awaits the classifier where it asks, replies.

One call of `Process` is one HTTP request, or a later attempt at one, of which nobody is told: Envoy counts those. It
returns after the decision: Envoy needs nothing more from us however long the model's response takes, and draining never
waits for one. Being cancelled is normal: the client went away, and its classification goes with it.

The one `except Exception` of the service is here: whatever fails, the client gets an answer in its API's shape.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import grpc

from router_service._generated.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from router_service.classify import Classifier
from router_service.errors import RequestError, RouterUnavailable
from router_service.extproc.stream import Answer, Ask, Continue, LastWord, Route, Stream
from router_service.extproc.wire import build_reply, read_event
from router_service.routing.catalog import Catalog
from router_service.routing.decision import Decision
from router_service.routing.ranking import Moment, Standings

SERVICE_NAME = "envoy.service.ext_proc.v3.ExternalProcessor"


class Recorder(Protocol):
    """Who is told what became of each request. Must neither wait nor fail.

    Seconds are counted from the message that completed the request (its body, or headers that were refused).
    """

    def stream_opened(self) -> None: ...

    def stream_closed(self) -> None: ...

    def decided(self, decision: Decision, *, request_id: str, seconds: float) -> None: ...

    def rejected(self, error: RequestError, *, request_id: str, seconds: float) -> None: ...

    def failed(self, error: Exception, *, request_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What one configuration means for requests; a stream keeps the rules it began with.

    `standings` answers at once with what is known of the models by now; `draw` is the lot, in [0, 1).
    """

    catalog: Catalog
    classifier: Classifier
    max_body_bytes: int
    standings: Callable[[], Standings] = Standings  # nothing is known
    draw: Callable[[], float] = random.random


class ExternalProcessor:
    """Envoy's external processor; `rules` may be exchanged while it runs."""

    def __init__(self, rules: Rules, recorder: Recorder) -> None:
        self.rules = rules
        self._recorder = recorder

    def handler(self) -> grpc.GenericRpcHandler:
        """What a gRPC server needs to serve `Process`."""
        process = grpc.stream_stream_rpc_method_handler(
            self.process,
            request_deserializer=ProcessingRequest.FromString,
            response_serializer=ProcessingResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE_NAME, {"Process": process})

    async def process(self, _: object, context: grpc.aio.ServicerContext) -> None:
        """One HTTP request, from its headers to the decision."""
        rules = self.rules
        stream = Stream(rules.catalog, rules.max_body_bytes, Moment(rules.standings(), rules.draw()))
        self._recorder.stream_opened()
        try:
            while not stream.is_done:
                message = await context.read()
                if message is grpc.aio.EOF:  # the request ended before its body was complete
                    return
                started = time.perf_counter()
                action = await self._answer(stream, cast(ProcessingRequest, message), rules.classifier)
                try:
                    await context.write(build_reply(action))
                finally:  # Envoy may have acted on the reply, and ended the stream, before we are back here
                    self._record(action, stream.request_id, time.perf_counter() - started)
        finally:
            self._recorder.stream_closed()

    async def _answer(self, stream: Stream, message: ProcessingRequest, classifier: Classifier) -> Continue | LastWord:
        try:
            action = stream.receive(read_event(message))
            if isinstance(action, Ask):
                return stream.classified(await classifier.classify(action.conversation))
        except Exception as error:  # noqa: BLE001 - the stream boundary: counted, logged and answered
            self._recorder.failed(error, request_id=stream.request_id)
            return stream.refuse(RouterUnavailable("The router failed on this request; its log has the cause."))
        return action

    def _record(self, action: Continue | LastWord, request_id: str, seconds: float) -> None:
        match action:
            case Route(decision):
                self._recorder.decided(decision, request_id=request_id, seconds=seconds)
            case Answer(error=RequestError() as error):
                self._recorder.rejected(error, request_id=request_id, seconds=seconds)
