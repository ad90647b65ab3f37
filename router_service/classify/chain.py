"""Classifiers in the order in which they are asked, within one deadline; itself a classifier.

The first that answers is heard, be its answer that no preference fits. One that fails leaves the word to the next, and
its reason stands in the answer as `failed`. If none answers, the last one's reason is the chain's, and the default
model has the request. A meter is told of each that was asked: here, because only the chain knows who was too late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from router_service.classify import Classifier
from router_service.routing.conversation import Conversation
from router_service.routing.decision import ANSWERED, Classification, Reason

# What the embedded classifier needs at most on a busy machine, and no more than a fifth of a short deadline.
_LONGEST_RESERVE_S = 0.1
_RESERVED_SHARE = 0.2


def first_share_s(timeout_s: float) -> float:
    """How much of the deadline the first classifier may use, so that the next still has time to answer."""
    return timeout_s - min(_LONGEST_RESERVE_S, _RESERVED_SHARE * timeout_s)


class Meter(Protocol):
    """Who is told what classifiers do. Must neither wait nor fail."""

    def classification_started(self) -> None: ...

    def classification_ended(self) -> None: ...

    def classified(self, classification: Classification) -> None:
        """One classifier's answer or failure, with the time it took. Not told of one that a client gave up on."""
        ...


class Unmetered:
    """A meter that keeps nothing."""

    def classification_started(self) -> None: ...

    def classification_ended(self) -> None: ...

    def classified(self, classification: Classification) -> None: ...


class Chain:
    """At least one classifier; `timeout_s` is for all of them together."""

    def __init__(
        self,
        classifiers: Sequence[Classifier],
        *,
        timeout_s: float,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._classifiers = tuple(classifiers)
        self._timeout_s = timeout_s
        self._meter = meter or Unmetered()
        self._clock = clock

    @property
    def backend(self) -> str:
        return self._classifiers[0].backend

    async def classify(self, conversation: Conversation) -> Classification:
        started_s = self._clock()
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        failed: Reason | None = None
        first, *others = self._classifiers
        classification = await self._ask(first, conversation, deadline_s)
        for other in others:
            if classification.reason in ANSWERED:
                break
            failed = failed or classification.reason
            classification = await self._ask(other, conversation, deadline_s)
        return replace(classification, failed=failed, latency_s=self._clock() - started_s)

    async def aclose(self) -> None:
        for classifier in self._classifiers:
            await classifier.aclose()

    async def _ask(self, classifier: Classifier, conversation: Conversation, deadline_s: float) -> Classification:
        started_s = self._clock()
        self._meter.classification_started()
        try:
            async with asyncio.timeout_at(deadline_s):
                classification = await classifier.classify(conversation)
        except TimeoutError:
            latency_s = self._clock() - started_s
            classification = Classification(Reason.TIMEOUT, backend=classifier.backend, latency_s=latency_s)
        finally:
            self._meter.classification_ended()
        self._meter.classified(classification)
        return classification
