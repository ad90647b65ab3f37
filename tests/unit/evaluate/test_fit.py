"""Settings are searched on some cases and judged on others; what shows no gain there is none."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np

from router_service.evaluate.fit import FOLDS, Rights, Settings, axes_for, fit

START = Settings(threshold=0.1, margin=0.05, whole=0.25, best_parts=2, hold=5.25, ending=7.0, offsets=(0.0, 0.0))
LABELS = ["code", "poem"] * 50
GROUPS = [f"conversation {number // 4}" for number in range(100)]
AXES = axes_for(LABELS, ["code", "poem"], [0.1, 0.2, 0.3, 0.4], unit=0.05, conversations=True)


def never() -> None:
    """Nobody is watching."""


def by(good: Settings) -> Rights:
    """Half of the cases are right whatever the settings, the others with a threshold of 0.25 or more."""
    return np.array([number % 2 == 0 or good.threshold >= 0.25 for number in range(100)])


def test_what_helps_everywhere_is_found_and_its_gain_is_that_of_cases_not_looked_at() -> None:
    searches: list[int] = []
    found = fit(START, AXES, by, LABELS, GROUPS, on_search=lambda: searches.append(1))
    assert (found.settings.threshold >= 0.25, replace(found.settings, threshold=0.1)) == (True, START)
    assert (found.before.value, found.held_out.value, found.gain.value) == (0.5, 1.0, 0.5)
    assert found.gained
    assert len(searches) == FOLDS + 1


def test_what_fits_by_chance_gains_nothing_where_it_was_not_looked_at() -> None:
    # Every setting has a luck of its own: the best of many looks better than the first, and is not.
    def lucky(settings: Settings) -> Rights:
        return np.random.default_rng(zlib.crc32(repr(settings).encode())).random(100) < 0.5

    found = fit(START, AXES, lucky, LABELS, GROUPS, on_search=never)
    assert not found.gained


def test_nothing_is_changed_for_a_single_case() -> None:
    def one_more(settings: Settings) -> Rights:
        rights = np.zeros(100, np.bool_)
        rights[0] = settings.threshold > START.threshold
        return rights

    found = fit(START, AXES, one_more, LABELS, GROUPS, on_search=never)
    assert (found.settings, found.gain.value, found.gained) == (START, 0.0, False)


def test_the_same_cases_fit_the_same_settings() -> None:
    assert fit(START, AXES, by, LABELS, GROUPS, on_search=never) == fit(
        START, AXES, by, LABELS, GROUPS, on_search=never
    )


def test_a_preference_with_few_cases_keeps_its_weight_and_single_requests_the_prior() -> None:
    axes = axes_for(["code"] * 20 + ["poem"] * 3, ["code", "poem"], [0.1, 0.2], unit=0.05, conversations=False)
    tried = [settings for axis in axes for settings in axis(START)]
    assert {settings.offsets[0] for settings in tried} > {0.0}
    assert {settings.offsets[1] for settings in tried} == {0.0}
    assert {(settings.hold, settings.ending) for settings in tried} == {(START.hold, START.ending)}
