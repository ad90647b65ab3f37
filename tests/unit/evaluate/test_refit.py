"""Trying settings on scored cases answers what the classifier would answer with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_service.classify.embedded import EmbeddedClassifier
from router_service.classify.encoder import Encoder, load_encoder
from router_service.config.fitted import Fitted
from router_service.config.load import load_routes
from router_service.evaluate.cases import OTHER, read_cases
from router_service.evaluate.fit import Settings
from router_service.evaluate.refit import ScoredCases
from router_service.routing.scoring import Encoded

FOLDER = Path(__file__).parents[2] / "data" / "cases"
LOADED = load_routes(FOLDER / "routes.yaml")
NAMES = [preference.name for preference in LOADED.catalog.preferences]
CASES = read_cases(FOLDER / "conversations-office.jsonl", NAMES)
SETTINGS = [
    Settings(0.12, 0.05, 0.25, 2, 5.25, 7.0, (0.0,) * len(NAMES)),
    Settings(0.25, 0.1, 0.4, 1, 2.0, 4.0, (0.05, -0.1, *(0.0,) * (len(NAMES) - 2))),
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder()


@pytest.mark.parametrize("settings", SETTINGS)
async def test_settings_answer_on_scored_cases_as_they_would_in_service(encoder: Encoder, settings: Settings) -> None:
    known: dict[str, Encoded] = {}

    def encode(text: str) -> Encoded:
        return known.setdefault(text, known.get(text) or encoder.encode(text))

    fitted = Fitted(
        encoder=encoder.name,
        preferences="",
        threshold=settings.threshold,
        margin=settings.margin,
        whole=settings.whole,
        best_parts=settings.best_parts,
        hold=settings.hold,
        ending=settings.ending,
        offsets=dict(zip(NAMES, settings.offsets, strict=True)),
        cases=0,
        gain=0,
        gain_ci=(0, 0),
    )
    classifier = EmbeddedClassifier(LOADED.catalog.preferences, encoder, LOADED.config.router, fitted)
    answers = [await classifier.classify(case.turns) for case in CASES]
    expected = [(answer.route or OTHER) == case.expected for answer, case in zip(answers, CASES, strict=True)]
    scored = ScoredCases(LOADED.catalog.preferences, CASES, encode, min_confidence=0.0)
    assert scored.right(settings).tolist() == expected
    assert scored.top_scores(settings) == pytest.approx([max(answer.scores.values()) for answer in answers], abs=1e-6)
    await classifier.aclose()
