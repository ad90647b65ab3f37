"""The answer to one request, and the closed sets of words that explain it.

The same words are metric labels, log fields, response headers and rows of docs/failures.md; nothing else may be said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from router_service.routing.catalog import Target
from router_service.routing.ranking import Prefer


class Source(StrEnum):
    """Which of the ways of routing chose the model, in the order they are tried."""

    MODEL = "model"
    ALIAS = "alias"
    PREFERENCE = "preference"
    DEFAULT = "default"


class Reason(StrEnum):
    """Why this model. The first two belong to a choice that was made, the others to the default model."""

    REQUESTED = "requested"  # the client named it, itself or through an alias
    MATCHED = "matched"  # a classifier named one of the preferences
    NO_PREFERENCES = "no_preferences"  # nothing to classify among
    NO_TEXT = "no_text"  # the conversation has no user text: images or tool results only
    NO_ROUTE = "no_route"  # the classifier found that no preference fits
    LOW_CONFIDENCE = "low_confidence"  # one fits, but less surely than router.min_confidence asks
    UNKNOWN_ROUTE = "unknown_route"  # the classifier named something that is not configured
    MALFORMED = "malformed"  # the classifier's answer could not be read
    TIMEOUT = "timeout"  # router.timeout passed
    OVERLOADED = "overloaded"  # router.max_in_flight classifications were already under way
    BREAKER_OPEN = "breaker_open"  # the classifier failed repeatedly and is left alone for a while
    CLASSIFIER_ERROR = "classifier_error"  # it refused, reset or answered an HTTP error


# Answers of a classifier that works; every other reason is a failure, which the next classifier may make good.
ANSWERED = frozenset({Reason.MATCHED, Reason.NO_ROUTE, Reason.LOW_CONFIDENCE, Reason.NO_TEXT, Reason.NO_PREFERENCES})


@dataclass(frozen=True, slots=True)
class Context:
    """What the turns before did to an answer, where the classifier can tell.

    `previous` is the preference that the turns before left the conversation on, if any; `head_start` is what it counts
    more for that in `scores`. `ended` says that the newest turn asks for nothing more.
    """

    previous: str | None = None
    head_start: float = 0.0
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Classification:
    """What a classifier said about one conversation. Classifiers do not raise: a failure is a reason.

    `route` is a configured preference's name exactly when `reason` is MATCHED. `scores` has one number per preference
    in configuration order, in the classifier's own unit; `confidence` is in [0, 1]. Both may be missing. `latency_s`
    covers the whole question, waiting and retries included. `failed` says why an earlier classifier of the chain did
    not answer. `context` is there for a turn that is not the first, if the classifier can tell.
    """

    reason: Reason
    route: str | None = None
    confidence: float | None = None
    scores: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    backend: str = ""
    latency_s: float = 0.0
    failed: Reason | None = None
    context: Context | None = None

    def __post_init__(self) -> None:
        assert (self.route is not None) == (self.reason is Reason.MATCHED)


@dataclass(frozen=True, slots=True)
class Decision:
    """One request's model, where it is sent and why.

    `upstream` is the Envoy cluster: one model's, or a pool's, whose first is `target` and whose others are `behind`.
    `route` is the preference's name, or the alias as the client wrote it.
    `classification` is there when a classifier was asked.
    `ranked_by` is what put `target` and those behind it in order.
    """

    target: Target
    upstream: str
    source: Source
    reason: Reason
    route: str | None = None
    classification: Classification | None = None
    behind: tuple[Target, ...] = ()
    ranked_by: Prefer = Prefer.NONE

    @property
    def model(self) -> str:
        """`provider/id`, as in the `x-router-model` header."""
        return self.target.model
