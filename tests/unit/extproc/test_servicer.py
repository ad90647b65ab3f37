"""The gRPC edge, driven through a context that is a pair of queues: what it awaits, records and answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import cast

import grpc
import pytest

from router_service._generated.ext_proc_pb2 import ProcessingRequest, ProcessingResponse
from router_service.errors import RequestError
from router_service.extproc.servicer import ExternalProcessor, Rules
from router_service.routing.catalog import Catalog, Model, Preference, Target
from router_service.routing.conversation import Conversation
from router_service.routing.decision import Classification, Decision, Reason

LARGE = Target(Model("openai/large", "openai", "large"), "large")
CATALOG = Catalog(models=(LARGE.entry,), preferences=(Preference("code", "writing code", (LARGE,)),), default=LARGE)


class FakeContext:
    """Envoy's side of one stream: messages to read, then the end, and what was written."""

    def __init__(self, messages: Iterable[ProcessingRequest]) -> None:
        self._messages = iter(messages)
        self.written: list[ProcessingResponse] = []

    async def read(self) -> object:
        return next(self._messages, grpc.aio.EOF)

    async def write(self, message: ProcessingResponse) -> None:
        self.written.append(message)


class FakeRecorder:
    def __init__(self) -> None:
        self.events: list[str] = []

    def stream_opened(self) -> None:
        self.events.append("opened")

    def stream_closed(self) -> None:
        self.events.append("closed")

    def decided(self, decision: Decision, *, request_id: str, seconds: float) -> None:
        assert seconds >= 0
        self.events.append(f"decided {decision.model} {decision.reason} {request_id}")

    def rejected(self, error: RequestError, *, request_id: str, seconds: float) -> None:
        self.events.append(f"rejected {error.reason}")

    def failed(self, error: Exception, *, request_id: str) -> None:
        self.events.append(f"failed {type(error).__name__}")


class FakeClassifier:
    backend = "embedded"

    def __init__(self, answer: Callable[[], Classification]) -> None:
        self._answer = answer
        self.asked: list[Conversation] = []

    async def classify(self, conversation: Conversation) -> Classification:
        self.asked.append(conversation)
        return self._answer()

    async def aclose(self) -> None:
        pass


def headers(path: str = "/v1/chat/completions") -> ProcessingRequest:
    request = ProcessingRequest()
    for key, value in ((":method", b"POST"), (":path", path.encode()), ("x-request-id", b"r1")):
        request.request_headers.headers.headers.add(key=key, raw_value=value)
    request.protocol_config.request_body_mode = 2
    return request


def body(model: str) -> ProcessingRequest:
    request = ProcessingRequest()
    request.request_body.body = json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "write a parser"}]}
    ).encode()
    return request


async def converse(
    messages: Iterable[ProcessingRequest], answer: Callable[[], Classification]
) -> tuple[list[ProcessingResponse], list[str], FakeClassifier]:
    classifier, recorder, context = FakeClassifier(answer), FakeRecorder(), FakeContext(messages)
    processor = ExternalProcessor(Rules(CATALOG, classifier, 1000), recorder)
    await processor.process(None, cast(grpc.aio.ServicerContext, context))
    return context.written, recorder.events, classifier


async def test_a_named_model_is_decided_without_asking() -> None:
    written, events, classifier = await converse([headers(), body("large")], lambda: Classification(Reason.TIMEOUT))
    assert [reply.WhichOneof("response") for reply in written] == ["request_headers", "request_body"]
    assert events == ["opened", "decided openai/large requested r1", "closed"]
    assert classifier.asked == []


async def test_auto_waits_for_the_classifier() -> None:
    matched = Classification(Reason.MATCHED, route="code", backend="embedded")
    written, events, classifier = await converse([headers(), body("auto")], lambda: matched)
    assert [turn.content for turn in classifier.asked[0].turns] == ["write a parser"]
    assert written[1].dynamic_metadata["router_service"]["route"] == "code"  # type: ignore[index]
    assert events == ["opened", "decided openai/large matched r1", "closed"]


async def test_a_refusal_ends_the_stream_and_is_counted() -> None:
    written, events, _ = await converse([headers("/nowhere"), body("auto")], lambda: Classification(Reason.TIMEOUT))
    assert [reply.WhichOneof("response") for reply in written] == ["immediate_response"]
    assert events == ["opened", "rejected unknown_path", "closed"]


async def test_a_defect_is_answered_in_the_clients_shape_and_told_to_the_operator() -> None:
    def defect() -> Classification:
        raise ZeroDivisionError

    written, events, _ = await converse([headers(), body("auto")], defect)
    answer = written[1].immediate_response
    assert answer.status.code == 503
    assert json.loads(answer.body)["error"]["code"] == "router_unavailable"
    assert events == ["opened", "failed ZeroDivisionError", "rejected router_unavailable", "closed"]


async def test_a_client_that_leaves_before_its_body_is_neither_decided_nor_rejected() -> None:
    written, events, _ = await converse([headers()], lambda: Classification(Reason.TIMEOUT))
    assert len(written) == 1
    assert events == ["opened", "closed"]


async def test_a_client_that_leaves_cancels_its_classification() -> None:
    asked, cancelled = asyncio.Event(), asyncio.Event()

    class Hanging(FakeClassifier):
        async def classify(self, conversation: Conversation) -> Classification:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

    recorder = FakeRecorder()
    rules = Rules(CATALOG, Hanging(lambda: Classification(Reason.TIMEOUT)), 1000)
    context = cast(grpc.aio.ServicerContext, FakeContext([headers(), body("auto")]))
    call = asyncio.create_task(ExternalProcessor(rules, recorder).process(None, context))
    await asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert cancelled.is_set()
    assert recorder.events == ["opened", "closed"]


async def test_a_decision_that_envoy_acts_on_at_once_is_recorded_though_it_ends_the_stream() -> None:
    class Hasty(FakeContext):
        """Resets the stream when it has the decision, which the server tells by cancelling the write."""

        async def write(self, message: ProcessingResponse) -> None:
            await super().write(message)
            if message.WhichOneof("response") == "request_body":
                raise asyncio.CancelledError

    recorder = FakeRecorder()
    rules = Rules(CATALOG, FakeClassifier(lambda: Classification(Reason.TIMEOUT)), 1000)
    context = cast(grpc.aio.ServicerContext, Hasty([headers(), body("large")]))
    with pytest.raises(asyncio.CancelledError):
        await ExternalProcessor(rules, recorder).process(None, context)
    assert recorder.events == ["opened", "decided openai/large requested r1", "closed"]
