"""What is advised about a list of preferences, and that nothing is where nothing is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from router_service.classify.encoder import Encoder, load_encoder
from router_service.routing.catalog import Preference
from router_service.routing.guidance import LONGEST_QUOTE, MOST_PAIRS, advise, quote
from router_service.routing.scoring import Vector

WORDS = ("code", "poem", "test", "song", "weather", "prose")


def embed(text: str) -> Vector:
    """Each of WORDS is a direction of its own; a text of none of them lies across all."""
    found = np.array([*(word in text for word in WORDS), 0.1], np.float32)
    if not found[:-1].any():
        found[:] = 0.3
    return np.asarray(found / np.linalg.norm(found), dtype=np.float32)


CODE = Preference("code", "code snippets, prose on code", ())
POEMS = Preference("poems", "poem and song", ())


def test_what_is_far_apart_and_says_enough_needs_no_advice() -> None:
    assert advise((CODE, POEMS), embed) == ()
    assert advise((), embed) == ()


def test_of_two_that_say_the_same_the_nearest_parts_are_named() -> None:
    (advice,) = advise(
        (CODE, Preference("quality", "test runs, weather", ()), Preference("checks", "a test", ())), embed
    )
    assert advice.position == 1
    assert advice.what.startswith('is hard to tell from `checks`: "test runs" here is near to "a test" there')
    assert "with a confidence of " in advice.what
    assert advice.todo.startswith("say it in one of the two only")


def test_an_example_that_belongs_elsewhere_is_named_with_both_scores() -> None:
    example = Preference("code", "code snippets, prose on code", (), examples=("a song about rain",))
    (advice,) = advise((example, POEMS), embed)
    assert advice.position == 0
    assert advice.what.startswith(
        'does not say what its example "a song about rain" asks for, which is nearer to `poems`'
    )
    assert '("poem and song": ' in advice.what


def test_an_example_that_resembles_nothing_is_named() -> None:
    example = Preference("code", "code snippets, prose on code", (), examples=("weather",))
    (advice,) = advise((example, POEMS), embed)
    assert advice.what.startswith(
        'does not resemble its example "weather" (score -0.24; below 0.23 no preference fits)'
    )


def test_a_description_that_repeats_the_name_is_thin_unless_there_are_examples() -> None:
    thin = Preference("code", "all code", ())
    (advice,) = advise((thin, POEMS), embed)
    assert (advice.position, advice.what) == (0, "says no more than the name")
    assert advise((Preference("code", "all code", (), examples=("more code",)), POEMS), embed) == ()


def test_advice_stands_in_the_order_of_the_preferences_and_is_bounded() -> None:
    same = tuple(Preference(f"code {number}", "code", ()) for number in range(12))
    found = advise(same, embed)
    assert [advice.position for advice in found] == sorted(advice.position for advice in found)
    assert sum("hard to tell" in advice.what for advice in found) == MOST_PAIRS


def test_a_text_is_encoded_once() -> None:
    seen: list[str] = []

    def counting(text: str) -> Vector:
        seen.append(text)
        return embed(text)

    advise((CODE, POEMS), counting)
    assert len(seen) == len(set(seen))


def test_a_long_clause_is_quoted_in_part() -> None:
    assert quote("short") == '"short"'
    assert len(quote("x" * 500)) == LONGEST_QUOTE + 2


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder()


def test_with_the_built_in_model_the_same_in_other_words_is_found(encoder: Encoder) -> None:
    bugs = Preference("bug fixing", "errors in programs and how to repair them, crash reports", ())
    faults = Preference("troubleshooting", "repairing faulty programs, reports of crashes", ())
    poems = Preference("creative writing", "poems, stories and song lyrics", ())
    found = advise((poems, bugs, faults), encoder.embed)
    assert {advice.position for advice in found} <= {1, 2}
    assert any("crash" in advice.what for advice in found)
