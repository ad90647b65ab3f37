"""The embedded classifier reads thirty languages as well as it was measured (docs/writing-preferences.md)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from router_service.classify.embedded import EmbeddedClassifier
from router_service.classify.encoder import load_encoder
from router_service.config.load import load_routes
from router_service.config.models import Router
from router_service.evaluate.cases import read_cases
from router_service.evaluate.measure import measure
from router_service.evaluate.run import classify_cases

FOLDER = Path(__file__).parents[2] / "data" / "languages"
FILES = sorted(FOLDER.glob("*.jsonl"))
PREFERENCES = load_routes(FOLDER / "routes.yaml").catalog.preferences
NAMES = [preference.name for preference in PREFERENCES]
# Four answers of 36 fewer than in the language that the built-in encoder reads worst.
FLOOR = 0.69


@pytest.fixture(scope="module")
def classifier() -> Iterator[EmbeddedClassifier]:
    found = EmbeddedClassifier(PREFERENCES, load_encoder(), Router())
    yield found
    asyncio.run(found.aclose())


def test_there_are_thirty_languages_and_each_has_every_request() -> None:
    assert len(FILES) == 30
    requests = {
        path.stem: [case.id.replace(f"-{path.stem}-", "-") for case in read_cases(path, NAMES)] for path in FILES
    }
    assert all(ids == requests["en"] for ids in requests.values())
    assert len(requests["en"]) == 36


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in FILES])
async def test_a_language_is_read_as_well_as_it_was_measured(path: Path, classifier: EmbeddedClassifier) -> None:
    outcomes = await classify_cases(classifier, read_cases(path, NAMES), clock=time.perf_counter, on_case=lambda: None)
    accuracy = measure(classifier.backend, outcomes, NAMES).accuracy
    assert accuracy is not None
    assert accuracy.value >= FLOOR
