"""The classifier that needs no server: a sentence encoder on the CPU, in this process.

Owns when and where the encoder runs: one text at a time, in one thread beside the event loop, and not at all for a text
it has just seen, as the earlier turns of a conversation are. What is read of a conversation is `routing.follow`, what
the vectors mean `routing.scoring`.

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

from router_service.config.fitted import Fitted
from router_service.config.models import Router
from router_service.errors import SetupError
from router_service.routing import follow, scoring
from router_service.routing.backdrop import embed_backdrop
from router_service.routing.catalog import Preference
from router_service.routing.conversation import Conversation
from router_service.routing.decision import Classification, Context, Reason
from router_service.routing.follow import Judge, Judged, Prior, Rules, UserTurn
from router_service.routing.scoring import Encoded, Vector


class TextEncoder(Protocol):
    """`encoder.Encoder`, or a test's."""

    @property
    def name(self) -> str: ...

    def encode(self, text: str) -> Encoded: ...


class EmbeddedClassifier:
    """For one configuration's preferences. `aclose` when the configuration is replaced."""

    def __init__(
        self,
        preferences: Sequence[Preference],
        encoder: TextEncoder,
        settings: Router,
        fitted: Fitted | None = None,
    ) -> None:
        """Encodes the preferences: about 5 ms for each clause and example, so not inside a running event loop.

        Raises SetupError if the encoder fails, or is not the one that `fitted` is for.
        """
        self._names = tuple(preference.name for preference in preferences)
        self._judge = open_judge(preferences, encoder, settings, fitted) if preferences else None
        self._encoder = encoder
        self._cache = EncodedCache(settings.embedded.cache_entries)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedded")

    @property
    def backend(self) -> str:
        return "embedded"

    async def classify(self, conversation: Conversation) -> Classification:
        clock = asyncio.get_running_loop().time
        began = clock()
        if self._judge is None:
            return Classification(Reason.NO_PREFERENCES, backend=self.backend)
        texts = follow.heard(conversation)
        if not texts:
            return Classification(Reason.NO_TEXT, backend=self.backend)
        try:
            turns = [UserTurn(await self._encode(text), follow.byte_length(text)) for text in texts]
        except SetupError:
            return Classification(Reason.CLASSIFIER_ERROR, backend=self.backend, latency_s=clock() - began)
        judged = self._judge.follow(turns)
        verdict = judged.verdict
        return Classification(
            verdict.reason,
            route=self._names[verdict.best] if verdict.reason is Reason.MATCHED else None,
            confidence=verdict.confidence,
            scores=MappingProxyType(dict(zip(self._names, judged.scores.tolist(), strict=True))),
            context=self._context(judged) if len(turns) > 1 else None,
            backend=self.backend,
            latency_s=clock() - began,
        )

    def _context(self, judged: Judged) -> Context:
        previous = None if judged.previous is None else self._names[judged.previous]
        return Context(previous, judged.head_start, ended=judged.ended)

    async def aclose(self) -> None:
        """Classifications under way are finished; the thread then ends."""
        self._thread.shutdown(wait=False)

    async def _encode(self, text: str) -> Encoded:
        encoded = self._cache.get(text)
        if encoded is None:
            # No bound here: the encoder's work is bounded by MAX_TOKENS, the waiting by the chain's deadline.
            encoded = await asyncio.get_running_loop().run_in_executor(self._thread, self._encoder.encode, text)
            self._cache.put(text, encoded)
        return encoded


def open_judge(
    preferences: Sequence[Preference], encoder: TextEncoder, settings: Router, fitted: Fitted | None = None
) -> Judge:
    """What the configuration's preferences look like to this encoder. Raises SetupError if it fails."""

    def embed(text: str) -> Vector:
        return encoder.encode(text).vector

    weights, rules = scoring.WEIGHTS, Rules(thresholds(settings))
    if fitted is not None:
        if fitted.encoder != encoder.name:
            raise SetupError(
                f"router.embedded.fit was fitted for the encoder {fitted.encoder}, which is not the one in use, "
                f"{encoder.name}; run `router-service fit` again, or remove the key"
            )
        weights = scoring.Weights(fitted.whole, fitted.best_parts)
        rules = Rules(
            thresholds(settings, scoring.Thresholds(fitted.threshold, fitted.margin)),
            Prior(hold=fitted.hold, ending=fitted.ending),
            offsets=tuple(fitted.offsets.get(preference.name, 0.0) for preference in preferences),
        )
    routes = scoring.embed_routes(preferences, embed, weights)
    return Judge(routes, embed_backdrop(embed, routes), rules)


def thresholds(settings: Router, usual: scoring.Thresholds = scoring.Thresholds()) -> scoring.Thresholds:  # noqa: B008
    """The configuration's, and where it is silent the usual: those measured for the built-in encoder, or fitted."""
    embedded = settings.embedded
    return scoring.Thresholds(
        score=usual.score if embedded.threshold is None else embedded.threshold,
        margin=usual.margin if embedded.margin is None else embedded.margin,
        confidence=settings.min_confidence,
    )


class EncodedCache:
    """What the encoder said of the texts seen last, at most `limit` of them, without the texts.

    Every request brings the earlier turns of its conversation again, an agent's tool loop or a retry the newest one.
    Keys are hashes, so that no prompt stays in memory.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[bytes, Encoded] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, text: str) -> Encoded | None:
        key = _digest(text)
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, text: str, encoded: Encoded) -> None:
        self._kept[_digest(text)] = encoded
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
