"""Arch-Router (or any model that follows its prompt) behind HTTP, as a classifier.

Owns the bounds around a question: one deadline, a number in flight, one flight for identical questions, a cache, and a
second try. What is asked is `routing.prompt`; how it is put to a kind of server is a `Backend`; which server is asked
is `Replicas`.

    cached? ─► already under way? ─► room in flight? ─► a replica that may be asked ─► its verdict
                                     no: overloaded     none: breaker_open
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType

from router_service.classify.answer_cache import AnswerCache
from router_service.classify.backend import Backend, Verdict
from router_service.classify.model_server import Failure, ServerFailed
from router_service.classify.replicas import Replica, Replicas
from router_service.classify.single_flight import SingleFlight
from router_service.routing.answer import OTHER
from router_service.routing.breaker import Outcome
from router_service.routing.catalog import Preference
from router_service.routing.conversation import Conversation
from router_service.routing.decision import ANSWERED, Classification, Reason
from router_service.routing.prompt import Frame, Layout, RoutesTooLong, build_prompt, frame_prompt


@dataclass(frozen=True, slots=True)
class Bounds:
    """`timeout_s` is for one question from its prompt to its answer, the second try included."""

    timeout_s: float
    max_in_flight: int
    min_confidence: float
    max_turns: int
    max_prompt_tokens: int


class ArchRouter:
    """One configuration's classifier."""

    def __init__(
        self,
        backend: Backend,
        replicas: Replicas,
        preferences: Sequence[Preference],
        *,
        layout: Layout,
        bounds: Bounds,
        cache: AnswerCache[Verdict],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """RoutesTooLong if the preferences leave no room for a conversation."""
        self._backend = backend
        self._replicas = replicas
        self._preferences = tuple(preferences)
        self._layout = layout
        self._bounds = bounds
        self._cache = cache
        self._clock = clock
        self._flights: SingleFlight[Verdict | Reason] = SingleFlight()
        self._special_tokens = replicas.special_tokens
        self._frames = self._make_frames()

    @property
    def backend(self) -> str:
        return self._backend.name

    async def classify(self, conversation: Conversation) -> Classification:
        started_s = self._clock()
        outcome = await self._outcome(conversation)
        latency_s = self._clock() - started_s
        if isinstance(outcome, Reason):
            return Classification(outcome, backend=self.backend, latency_s=latency_s)
        weights = outcome.weights or {}
        reason, route = outcome.answer.reason, outcome.answer.route
        confidence = weights.get(route or OTHER)
        if route is not None and confidence is not None and confidence < self._bounds.min_confidence:
            reason, route = Reason.LOW_CONFIDENCE, None
        return Classification(
            reason,
            route=route,
            confidence=confidence,
            scores=MappingProxyType({name: weights[name] for name in self._names() if name in weights}),
            backend=self.backend,
            latency_s=latency_s,
        )

    async def aclose(self) -> None:
        await self._flights.aclose()

    def prompt(self, conversation: Conversation) -> str:
        """What the model is sent about this conversation."""
        return build_prompt(self._current_frames()[0], conversation)

    async def _outcome(self, conversation: Conversation) -> Verdict | Reason:
        if not self._preferences:
            return Reason.NO_PREFERENCES
        if not conversation.has_user_text:
            return Reason.NO_TEXT
        prompt = self.prompt(conversation)
        key = blake2b(prompt.encode(), digest_size=16).digest()
        cached = self._cache.get(key, self._clock())
        if cached is not None:
            return cached
        if key not in self._flights and len(self._flights) >= self._bounds.max_in_flight:
            return Reason.OVERLOADED
        outcome = await self._flights.run(key, lambda: self._ask(conversation, prompt))
        if isinstance(outcome, Verdict) and outcome.answer.reason in ANSWERED:
            self._cache.put(key, outcome, self._clock())
        return outcome

    async def _ask(self, conversation: Conversation, prompt: str) -> Verdict | Reason:
        deadline = asyncio.timeout(self._bounds.timeout_s)
        try:
            async with deadline:
                return await self._ask_any(conversation, prompt, deadline)
        except TimeoutError:
            return Reason.TIMEOUT

    async def _ask_any(self, conversation: Conversation, prompt: str, deadline: asyncio.Timeout) -> Verdict | Reason:
        """The verdict of a replica, at the second try if the first failed on the server's side."""
        if not self._replicas.known:
            await self._replicas.refresh()
        first = self._replicas.choose()
        if first is None:
            return Reason.BREAKER_OPEN if self._replicas.known else Reason.CLASSIFIER_ERROR
        try:
            return await self._ask_one(first, conversation, prompt, deadline)
        except ServerFailed as failed:
            second = self._replicas.choose(besides=first) if failed.is_servers_fault else None
            if second is None and failed.failure is Failure.LOST:
                second = self._replicas.choose()  # a kept connection closed from the other side: it may well be up
            if second is None:
                return failed.reason
        try:
            return await self._ask_one(second, conversation, prompt, deadline)
        except ServerFailed as failed:
            return failed.reason

    async def _ask_one(
        self, replica: Replica, conversation: Conversation, prompt: str, deadline: asyncio.Timeout
    ) -> Verdict:
        number = self._replicas.asked(replica)
        outcome = Outcome.GIVEN_UP
        try:
            verdict = await self._ask_in_time(replica, conversation, prompt)
            outcome = Outcome.SUCCESS
        except ServerFailed as failed:
            outcome = Outcome.FAILURE if failed.is_servers_fault else Outcome.SUCCESS
            raise
        except asyncio.CancelledError:
            # Either the deadline, which the server missed, or the client, which says nothing about the server.
            outcome = Outcome.FAILURE if deadline.expired() else Outcome.GIVEN_UP
            raise
        finally:
            self._replicas.answered(replica, number, outcome)
        return verdict

    async def _ask_in_time(self, replica: Replica, conversation: Conversation, prompt: str) -> Verdict:
        """A prompt that is longer in the model's tokens than estimated is asked again at half its length."""
        try:
            return await self._backend.ask(replica.server, replica.facts, prompt)
        except ServerFailed as failed:
            shorter = self._current_frames()[1:]
            if failed.failure is not Failure.TOO_LONG or not shorter:
                raise
        return await self._backend.ask(replica.server, replica.facts, build_prompt(shorter[0], conversation))

    def _current_frames(self) -> tuple[Frame, ...]:
        """Remade when other special tokens are found out, which is once or twice in a process' life."""
        if self._special_tokens != self._replicas.special_tokens:
            self._special_tokens = self._replicas.special_tokens
            self._frames = self._make_frames()
        return self._frames

    def _make_frames(self) -> tuple[Frame, ...]:
        """The frame of the whole budget, and of half of it where that still holds the preferences."""

        def frame(max_prompt_tokens: int) -> Frame:
            return frame_prompt(
                self._preferences,
                layout=self._layout,
                max_turns=self._bounds.max_turns,
                max_prompt_tokens=max_prompt_tokens,
                special_tokens=self._special_tokens,
            )

        whole = frame(self._bounds.max_prompt_tokens)
        try:
            return whole, frame(self._bounds.max_prompt_tokens // 2)
        except RoutesTooLong:
            return (whole,)

    def _names(self) -> tuple[str, ...]:
        return tuple(preference.name for preference in self._preferences)
