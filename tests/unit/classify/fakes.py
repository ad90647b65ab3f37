"""Classifiers, backends and clocks that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from yarl import URL

from router_service.classify.backend import Verdict
from router_service.classify.facts import Facts
from router_service.classify.model_server import (
    Address,
    Choice,
    Completion,
    Failure,
    Logprobs,
    Message,
    ModelServer,
    ServedModel,
    ServerFailed,
    TokenLogprob,
    Tokens,
    TopLogprob,
    Usage,
)
from router_service.routing.answer import Answer
from router_service.routing.catalog import Model, Preference, Target
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import Classification, Reason

HELLO = Conversation((Turn("user", "hello"),))
SERVED = (ServedModel("Arch-Router", root="katanemo/Arch-Router-1.5B", max_model_len=16384),)


def preference(name: str, description: str = "some requests") -> Preference:
    return Preference(name, description, (Target(Model("openai/gpt-5", "openai", "gpt-5"), "gpt-5"),))


def say(text: str) -> Conversation:
    return Conversation((Turn("user", text),))


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


class FakeClassifier:
    """Answers with `classification`, or hangs if there is none."""

    def __init__(self, classification: Classification | None, backend: str = "fake") -> None:
        self.classification = classification
        self.backend = backend
        self.asked = 0
        self.under_way = asyncio.Event()
        self.cancelled = False
        self.closed = False

    async def classify(self, conversation: Conversation) -> Classification:
        self.asked += 1
        self.under_way.set()
        if self.classification is None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise
        assert self.classification is not None
        return self.classification

    async def aclose(self) -> None:
        self.closed = True


def matched(route: str, **weights: float) -> Verdict:
    return Verdict(Answer(Reason.MATCHED, route), weights or None)


NOTHING_FITS = Verdict(Answer(Reason.NO_ROUTE))
HANG = "hang"
Behaviour = Verdict | ServerFailed | str


@dataclass
class FakeBackend:
    """`answers` by the server's IP address, used up from the front; the last one stays."""

    answers: dict[str, list[Behaviour]]
    facts: Facts | ServerFailed = field(default_factory=lambda: Facts(SERVED, serves_model=True))
    name: str = "vllm"
    asked: list[tuple[str, str]] = field(default_factory=list)
    probed: list[str] = field(default_factory=list)
    cancelled: int = 0
    under_way: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, server: ModelServer, facts: Facts | None, prompt: str) -> Verdict:
        ip = server.address.connect.host or ""
        self.asked.append((ip, prompt))
        self.under_way.set()
        answers = self.answers[ip]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is HANG:
            try:
                await self.go_on.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return NOTHING_FITS
        if isinstance(answer, ServerFailed):
            raise answer
        assert isinstance(answer, Verdict)
        return answer

    async def probe(self, server: ModelServer, served: tuple[ServedModel, ...], prompt: str) -> Facts:
        self.probed.append(server.address.connect.host or "")
        if isinstance(self.facts, ServerFailed):
            raise self.facts
        return self.facts


def unreachable() -> ServerFailed:
    return ServerFailed(Failure.UNREACHABLE, "ClientConnectorError")


class FakeServer(ModelServer):
    """A model server without a network: `completions` in order; `tokens` by text, numbered as they come."""

    def __init__(
        self,
        *,
        completions: Sequence[Completion | ServerFailed] = (),
        tokens: Mapping[str, Sequence[str]] | ServerFailed | None = None,
        special_tokens: Collection[str] = (),
        served: Sequence[ServedModel] | ServerFailed = SERVED,
        version: str | ServerFailed = "0.32.0",
        address: Address | None = None,
    ) -> None:
        self.address = address or Address(URL("http://10.0.0.1:8000"), "arch-router")
        self.questions: list[Mapping[str, object]] = []
        self._completions = list(completions)
        self._tokens = tokens if tokens is not None else {}
        self._special_tokens = sorted(special_tokens)
        self._vocabulary: dict[str, int] = {}
        self.served = served
        self.listed = 0
        self._version = version

    async def complete(self, question: Mapping[str, object]) -> Completion:
        self.questions.append(question)
        completions = self._completions
        return _or_raise(completions.pop(0) if len(completions) > 1 else completions[0])

    async def served_models(self) -> list[ServedModel]:
        self.listed += 1
        return list(_or_raise(self.served))

    async def tokenize(self, model: str, text: str) -> Tokens:
        if isinstance(self._tokens, ServerFailed):
            raise self._tokens
        tokens = self._tokens.get(text, self._special_tokens)
        return Tokens([self._vocabulary.setdefault(token, len(self._vocabulary)) for token in tokens], list(tokens))

    async def version(self) -> str:
        return _or_raise(self._version)


_Value = TypeVar("_Value")


def _or_raise(outcome: _Value | ServerFailed) -> _Value:
    if isinstance(outcome, ServerFailed):
        raise outcome
    return outcome


def completion(text: str | None, *steps: Mapping[str, float], tokens: int = 1) -> Completion:
    """An answer; each step maps the likeliest tokens to their log probabilities, the decoded one first."""
    content = [
        TokenLogprob(next(iter(step)), [TopLogprob(token, logprob) for token, logprob in step.items()])
        for step in steps
    ]
    return Completion([Choice(Message(text), Logprobs(content) if content else None)], Usage(tokens))
