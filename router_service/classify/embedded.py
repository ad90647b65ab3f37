"""The classifier that needs no server: a sentence encoder on the CPU, in this process.

Owns when and where the encoder runs: one text at a time, in one thread beside the event loop, and not at all for a text
it has just seen. What is read of a conversation and what the vectors mean is `routing.scoring`.

A classification waits behind those that came before it. How long it may wait, and how many may, is the chain's to
bound; here a request that is cancelled while it waits is dropped before it costs anything.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Protocol

from router_service.config.models import Router
from router_service.errors import SetupError
from router_service.routing import scoring
from router_service.routing.catalog import Preference
from router_service.routing.conversation import Conversation
from router_service.routing.decision import Classification, Reason
from router_service.routing.scoring import Vector


class TextEncoder(Protocol):
    """`encoder.Encoder`, or a test's."""

    def embed(self, text: str) -> Vector: ...


class EmbeddedClassifier:
    """For one configuration's preferences. `aclose` when the configuration is replaced."""

    def __init__(self, preferences: Sequence[Preference], encoder: TextEncoder, settings: Router) -> None:
        """Encodes the preferences: about 5 ms for each clause and example, so not inside a running event loop.

        Raises SetupError if the encoder fails.
        """
        self._names = tuple(preference.name for preference in preferences)
        self._routes = scoring.embed_routes(preferences, encoder.embed) if preferences else None
        self._thresholds = thresholds(settings)
        self._encoder = encoder
        self._cache = VectorCache(settings.embedded.cache_entries)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded")

    @property
    def backend(self) -> str:
        return "embedded"

    async def classify(self, conversation: Conversation) -> Classification:
        clock = asyncio.get_running_loop().time
        began = clock()
        text = scoring.query(conversation)
        if self._routes is None:
            return Classification(Reason.NO_PREFERENCES, backend=self.backend)
        if text is None:
            return Classification(Reason.NO_TEXT, backend=self.backend)
        try:
            vector = await self._embed(text)
        except SetupError:
            return Classification(Reason.CLASSIFIER_ERROR, backend=self.backend, latency_s=clock() - began)
        scores = self._routes.scores(vector)
        verdict = scoring.judge(scores, self._thresholds)
        return Classification(
            verdict.reason,
            route=self._names[verdict.best] if verdict.reason is Reason.MATCHED else None,
            confidence=verdict.confidence,
            scores=MappingProxyType(dict(zip(self._names, scores.tolist(), strict=True))),
            backend=self.backend,
            latency_s=clock() - began,
        )

    async def aclose(self) -> None:
        """Classifications under way are finished; the thread then ends."""
        self._thread.shutdown(wait=False)

    async def _embed(self, text: str) -> Vector:
        vector = self._cache.get(text)
        if vector is None:
            # No bound here: the encoder's work is bounded by MAX_TOKENS, the waiting by the chain's deadline.
            vector = await asyncio.get_running_loop().run_in_executor(self._thread, self._encoder.embed, text)
            self._cache.put(text, vector)
        return vector


def thresholds(settings: Router) -> scoring.Thresholds:
    """The configuration's, and where it is silent those measured for the built-in encoder."""
    usual = scoring.Thresholds()
    embedded = settings.embedded
    return scoring.Thresholds(
        score=usual.score if embedded.threshold is None else embedded.threshold,
        margin=usual.margin if embedded.margin is None else embedded.margin,
        confidence=settings.min_confidence,
    )


class VectorCache:
    """The vectors of the texts seen last, at most `limit` of them, without the texts.

    An agent's tool loop and a retry send the same user turn again. Keys are hashes, so that no prompt stays in memory.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, text: str) -> Vector | None:
        key = _digest(text)
        if key in self._vectors:
            self._vectors.move_to_end(key)
        return self._vectors.get(key)

    def put(self, text: str, vector: Vector) -> None:
        self._vectors[_digest(text)] = vector
        if len(self._vectors) > self._limit:
            self._vectors.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
