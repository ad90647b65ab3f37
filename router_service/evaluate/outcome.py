"""One case and what a classifier made of it: the pair every figure starts from. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from router_service.evaluate.cases import OTHER, Case
from router_service.routing.decision import ANSWERED, Classification, Reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """`latency_s` is what the caller waited."""

    case: Case
    classification: Classification
    latency_s: float

    @property
    def predicted(self) -> str | None:
        """The route's name, or "other" where the classifier found that none fits; None when it failed to answer.

        A failure sends the request to the default model, as "other" does. It is not counted as that: a server that is
        down would then be right about every case labelled "other".
        """
        if self.classification.route is not None:
            return self.classification.route
        return OTHER if self.classification.reason in ANSWERED else None

    @property
    def right(self) -> bool:
        """Only of a labelled case."""
        return self.case.expected is not None and self.predicted == self.case.expected

    @property
    def in_scope_score(self) -> float | None:
        """How much some route fits: ranks cases from "other" to "surely one of the routes". None when unknown.

        The best route's score where there are scores, which exists whatever was answered; else the confidence, which
        speaks for the answer and therefore against the routes when the answer was that none fits.
        """
        answer = self.classification
        if answer.reason not in ANSWERED:
            return None
        if answer.scores:
            return max(answer.scores.values())
        if answer.confidence is None:
            return None
        return 1.0 - answer.confidence if answer.reason is Reason.NO_ROUTE else answer.confidence
