"""Labelled cases as the embedded classifier scores them, so that many settings can be tried without encoding again.

The scores of a turn depend on its text, the text of the turn before and the weights; everything else is arithmetic on
them (`routing.follow.replay`). So each pair of texts is scored once for each set of weights. Pure: the encoder is
called through a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from router_service.evaluate.cases import OTHER, Case
from router_service.evaluate.fit import Rights, Settings
from router_service.routing import follow
from router_service.routing.backdrop import embed_backdrop
from router_service.routing.catalog import Preference
from router_service.routing.decision import Reason
from router_service.routing.follow import Judged, Prior, Rules, Scored, UserTurn
from router_service.routing.scoring import Encoded, Thresholds, Vector, Weights, embed_routes

Encode = Callable[[str], Encoded]


class ScoredCases:
    """`encode` must be cheap for a text that it has seen. Cases without user text are never right, unless `other`."""

    def __init__(
        self, preferences: Sequence[Preference], cases: Sequence[Case], encode: Encode, min_confidence: float
    ) -> None:
        self._preferences = preferences
        self._encode = encode
        self._min_confidence = min_confidence
        self._texts = [follow.heard(case.turns) for case in cases]
        names = [preference.name for preference in preferences]
        self._expected = [-1 if case.expected == OTHER else names.index(str(case.expected)) for case in cases]
        at = {texts: position for position, texts in enumerate(self._texts)}
        self._before = [at.get(texts[:-1]) for texts in self._texts]  # the case of the turn before, where there is one
        self._scored: dict[Weights, list[list[Scored]]] = {}

    def right(self, settings: Settings) -> Rights:
        """Which cases these settings answer right."""
        answers = [
            judged.verdict.best if judged is not None and judged.verdict.reason is Reason.MATCHED else -1
            for judged in self._judge(settings)
        ]
        rights: Rights = np.array(answers) == np.array(self._expected)
        return rights

    def top_scores(self, settings: Settings) -> list[float]:
        """The best score of each case that has a text."""
        return [float(judged.scores.max()) for judged in self._judge(settings) if judged is not None]

    def _judge(self, settings: Settings) -> list[Judged | None]:
        rules = Rules(
            Thresholds(settings.threshold, settings.margin, self._min_confidence),
            Prior(hold=settings.hold, ending=settings.ending),
            offsets=settings.offsets,
        )
        judged: list[Judged | None] = []
        for turns, before in zip(self._score(Weights(settings.whole, settings.best_parts)), self._before, strict=True):
            known = judged[before] if before is not None and before < len(judged) else None
            if known is not None:
                judged.append(follow.judge_next(known.route, turns[-1], rules))
            else:
                judged.append(follow.replay(turns, rules) if turns else None)
        return judged

    def _score(self, weights: Weights) -> list[list[Scored]]:
        if weights not in self._scored:
            routes = embed_routes(self._preferences, self._embed, weights)
            backdrop = embed_backdrop(self._embed, routes)
            pairs: dict[tuple[str | None, str], Scored] = {}

            def score(before: str | None, text: str) -> Scored:
                if (before, text) not in pairs:
                    previous = None if before is None else self._turn(before)
                    pairs[before, text] = follow.score(previous, self._turn(text), routes, backdrop)
                return pairs[before, text]

            self._scored[weights] = [
                [score(before, text) for before, text in zip((None, *texts), texts, strict=False)]
                for texts in self._texts
            ]
        return self._scored[weights]

    def _turn(self, text: str) -> UserTurn:
        return UserTurn(self._encode(text), follow.byte_length(text))

    def _embed(self, text: str) -> Vector:
        return self._encode(text).vector
