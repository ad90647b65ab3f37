"""A classifier that is counted and timed while it is asked; the answer is untouched."""

from __future__ import annotations

from typing import Protocol

from router_service.classify import Classifier
from router_service.routing.conversation import Conversation
from router_service.routing.decision import Classification


class Meter(Protocol):
    """Who is told. Must neither wait nor fail."""

    def classification_started(self) -> None: ...

    def classification_ended(self) -> None: ...

    def classified(self, classification: Classification) -> None: ...


class MeasuredClassifier:
    """To be put around each classifier of a chain, so that every backend shows with its own reasons and seconds."""

    def __init__(self, classifier: Classifier, meter: Meter) -> None:
        self._classifier = classifier
        self._meter = meter

    @property
    def backend(self) -> str:
        return self._classifier.backend

    async def classify(self, conversation: Conversation) -> Classification:
        self._meter.classification_started()
        try:
            classification = await self._classifier.classify(conversation)
        finally:  # a client that went away cancels its classification
            self._meter.classification_ended()
        self._meter.classified(classification)
        return classification

    async def aclose(self) -> None:
        await self._classifier.aclose()
