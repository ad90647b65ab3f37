"""Which texts stand for a preference, what their vectors score, and when that is an answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.routing.catalog import Preference
from router_service.routing.decision import Reason
from router_service.routing.scoring import (
    CALIBRATION,
    END_CHARS,
    END_WORDS,
    Thresholds,
    Vector,
    Weights,
    clauses,
    embed_routes,
    judge,
    parts,
    shorten,
    whole,
)

# --- what is read of a text ---


def test_a_text_of_two_hundred_words_stays_as_it_is() -> None:
    text = "\n".join(f"word{number}" for number in range(2 * END_WORDS))
    assert shorten(f" {text} ") == text


def test_of_a_longer_text_the_first_and_last_hundred_words_stay() -> None:
    words = [f"word{number}" for number in range(2 * END_WORDS + 1)]
    assert shorten("  ".join(words)).split() == words[:END_WORDS] + words[-END_WORDS:]


def test_a_paste_without_blanks_is_cut_at_both_ends() -> None:
    assert shorten("a" * 5_000_000 + "b" * 5_000_000) == "a" * END_CHARS + " " + "b" * END_CHARS


def test_half_a_word_is_dropped_beside_whole_ones() -> None:
    text = "explain " + "x" * 3 * END_CHARS + " briefly"
    assert shorten(text) == "explain briefly"


SHORT_WORDS = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=END_CHARS // END_WORDS - 1)
BLANKS = st.sampled_from([" ", "\n", "\t "])


@given(st.lists(st.tuples(SHORT_WORDS, BLANKS), max_size=5 * END_WORDS))
def test_the_ends_are_whole_words_of_the_text(pieces: list[tuple[str, str]]) -> None:
    # Words of ordinary length: none is cut, none added, and both ends are there in full.
    words = [word for piece in pieces for word in piece[0].split()]
    kept = shorten("".join(word + blank for word, blank in pieces)).split()
    assert kept == (words if len(words) <= 2 * END_WORDS else words[:END_WORDS] + words[-END_WORDS:])


@given(st.lists(st.text(max_size=40).map(lambda text: text * 200), max_size=30).map(" ".join))
def test_however_a_text_is_made_what_is_read_is_bounded(text: str) -> None:
    # Never longer than the text, never longer than both ends, and shortening again changes nothing but blanks.
    short = shorten(text)
    assert len(short) <= min(len(text), 2 * END_CHARS + 1)
    assert shorten(short).split() == short.split()


# --- what stands for a preference ---


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        pytest.param(
            "generating new code snippets, functions, or boilerplate based on user prompts",
            ("generating new code snippets", "functions", "boilerplate based on user prompts"),
            id="list with or",
        ),
        pytest.param("a, b and c; d", ("a", "b", "c", "d"), id="list with and"),
        pytest.param("placing and lifting a freeze", ("placing and lifting a freeze",), id="and alone makes no list"),
        pytest.param("invoices over 1,000 euros", ("invoices over 1,000 euros",), id="comma in a number"),
        pytest.param("code,tests,docs", ("code", "tests", "docs"), id="no blanks"),
        pytest.param(
            "Questions about billing. Includes refunds and invoices.",
            ("Questions about billing", "Includes refunds", "invoices"),
            id="sentences",
        ),
        pytest.param("version 1.2 of e.g. a library", ("version 1.2 of e.g. a library",), id="dots inside"),
        pytest.param("- bugs\n- crashes and/or hangs\n", ("bugs", "crashes", "hangs"), id="bullets"),
        pytest.param("Poems, poems, POEMS", ("Poems",), id="repetitions"),
        pytest.param("代码、测试，文档", ("代码", "测试", "文档"), id="East Asian separators"),  # noqa: RUF001
        pytest.param("...", (), id="nothing"),
    ],
)
def test_a_description_is_split_where_it_lists(description: str, expected: tuple[str, ...]) -> None:
    assert clauses(description) == expected


@given(st.text(st.sampled_from("ab1 ,;.\n-:") | st.characters(), max_size=80) | st.text("ab ,ndor.A", max_size=60))
def test_clauses_are_pieces_of_their_description_and_not_lists_themselves(description: str) -> None:
    # Every clause stands in the description, says something, is listed once, and is one clause when split again.
    found = clauses(description)
    assert all(clause in description and any(map(str.isalnum, clause)) for clause in found)
    assert len({clause.casefold() for clause in found}) == len(found)
    assert all(clauses(clause) == (clause,) for clause in found)
    assert bool(found) == any(map(str.isalnum, description))


def test_name_clauses_and_examples_stand_for_a_preference() -> None:
    preference = Preference("code_review", "diffs, code review", (), examples=("is this safe?", " ", "diffs"))
    assert whole(preference) == "code review: diffs, code review"
    assert parts(preference) == ("code review", "diffs", "is this safe?")


# --- scores ---

DIRECTIONS = {"poem": (1, 0, 0), "code": (0, 1, 0), "tests": (0, 0.6, 0.8)}


def embed(text: str) -> Vector:
    """A text with known words points where they point, one without any points away from all of them."""
    sums = np.sum([DIRECTIONS[word] for word in DIRECTIONS if word in text] or [(0, 0, -1)], axis=0)
    return np.asarray(sums / np.linalg.norm(sums), dtype=np.float32)


def preference(name: str, description: str, *examples: str) -> Preference:
    return Preference(name, description, (), examples)


def test_a_score_is_a_quarter_of_the_whole_and_three_of_the_two_best_parts() -> None:
    routes = embed_routes([preference("poem", "code, tests")], embed)
    whole_score = float(embed("poem: code, tests") @ embed("code"))
    assert routes.scores(embed("code")).tolist() == pytest.approx([0.25 * whole_score + 0.75 * (1 + 0.6) / 2])


def test_with_examples_half_of_a_score_is_the_nearness_to_one_prototype_of_line_and_examples() -> None:
    routes = embed_routes([preference("poem", "poem", "code", "tests"), preference("poem", "poem")], embed)
    middle = embed("code") + embed("tests")
    prototype = embed("poem") + middle / np.linalg.norm(middle)
    near = float(embed("code") @ prototype / np.linalg.norm(prototype))
    assert routes.scores(embed("code")).tolist() == pytest.approx([0.5 * 0.75 * (1 + 0.6) / 2 + 0.5 * near, 0])


def test_preferences_with_few_and_many_parts_are_scored_by_their_own_only() -> None:
    few, many = preference("poem", "poem"), preference("code", "tests", *(f"code {number}" for number in range(9)))
    alone = [float(embed_routes([route], embed).scores(embed("code"))[0]) for route in (few, many)]
    assert embed_routes([few, many], embed).scores(embed("code")).tolist() == pytest.approx(alone)


def test_scores_come_in_configuration_order() -> None:
    listed = [preference(word, word) for word in ("tests", "poem", "code")]
    assert np.argmax(embed_routes(listed, embed).scores(embed("poem"))) == 1
    assert np.argmax(embed_routes(listed[::-1], embed).scores(embed("tests"))) == 2


def test_a_text_that_several_preferences_share_is_encoded_once() -> None:
    seen: list[str] = []

    def recording(text: str) -> Vector:
        seen.append(text)
        return embed(text)

    embed_routes([preference("poem", "poem, code"), preference("code", "code, poem")], recording)
    assert sorted(seen) == ["code", "code: code, poem", "poem", "poem: poem, code"]


def test_other_weights_change_what_counts() -> None:
    listed = [preference("poem", "code, tests")]
    assert embed_routes(listed, embed, Weights(whole=0, best_parts=1)).scores(embed("code"))[0] == pytest.approx(1)
    shown = [preference("poem", "code, tests", "tests")]
    weights = Weights(whole=0, best_parts=1, prototype=0)
    assert embed_routes(shown, embed, weights).scores(embed("code"))[0] == pytest.approx(1)


# --- the answer ---


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        pytest.param([0.1, 0.2, 0.19], Reason.MATCHED, id="high enough, however close the second"),
        pytest.param([0.1, 0.12, 0.0], Reason.NO_ROUTE, id="low, and close to the second"),
        pytest.param([0.02, 0.12, 0.0], Reason.MATCHED, id="low, but far ahead"),
        pytest.param([0.2], Reason.MATCHED, id="alone and high enough"),
        pytest.param([0.1], Reason.NO_ROUTE, id="alone and low"),
        pytest.param([-0.3, -0.2, -0.3], Reason.MATCHED, id="ahead of worse"),
    ],
)
def test_threshold_and_margin_decide_together(scores: list[float], reason: Reason) -> None:
    verdict = judge(np.array(scores, np.float32), Thresholds(score=0.16, margin=0.05))
    assert (verdict.reason, verdict.best) == (reason, int(np.argmax(scores)))


def test_below_the_configured_confidence_the_best_is_not_named() -> None:
    scores = np.array([0.5, 0.45], np.float32)
    reached = judge(scores, Thresholds()).confidence
    assert judge(scores, Thresholds(confidence=reached)).reason is Reason.MATCHED
    assert judge(scores, Thresholds(confidence=reached + 0.01)).reason is Reason.LOW_CONFIDENCE


def test_of_equals_the_first_is_best_with_the_least_confidence() -> None:
    verdict = judge(np.array([0.4, 0.4], np.float32), Thresholds())
    assert verdict.best == 0
    assert verdict.confidence == pytest.approx(CALIBRATION.confidence(0))


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=9), st.floats(0, 1))
def test_confidence_is_a_probability_and_grows_with_the_lead(scores: list[float], more: float) -> None:
    # In [0, 1] for any scores; raising only the best one never lowers it, and the best stays the best.
    best = int(np.argmax(np.array(scores, np.float32)))
    raised = [score + more if position == best else score for position, score in enumerate(scores)]
    before, after = (judge(np.array(some, np.float32), Thresholds()) for some in (scores, raised))
    assert 0 <= before.confidence <= 1
    assert before.confidence <= after.confidence + 1e-6
    assert after.best == best
