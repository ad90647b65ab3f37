"""Deciding early: from the tokenizer's prefix tree, from the text written so far, and how sure it was."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router_service.routing.choices import (
    Step,
    deciding_depths,
    first_guess,
    longest_answer_tokens,
    never_stuck,
    prefill,
    remaining,
    spell_choices,
    weigh,
)
from router_service.routing.prompt import LayoutName, load_layout

MODEL_CARD = load_layout(LayoutName.MODEL_CARD)
COMPACT = load_layout(LayoutName.COMPACT)
CHOICES = spell_choices(["code", "code review", "cooking", "été"], COMPACT)


def test_choices_are_spelled_as_the_prompt_spells_them_and_carry_the_closing_quote() -> None:
    names = ["code review", 'say "hi"', "été"]
    assert dict(spell_choices(names, MODEL_CARD)) == {
        "code review": 'code review"',
        'say "hi"': 'say \\"hi\\""',
        "été": '\\u00e9t\\u00e9"',
        "other": 'other"',
    }
    assert spell_choices(names, COMPACT)["été"] == 'été"'


def test_the_answer_begins_as_the_layout_writes_json() -> None:
    assert prefill(MODEL_CARD) == '{"route": "'
    assert prefill(COMPACT) == '{"route":"'


def test_every_answer_ends_within_the_bound() -> None:
    assert longest_answer_tokens({"a": 'a"', "été": 'été"'}) == len('été"'.encode()) + 1


@pytest.mark.parametrize(
    ("tokens", "depths"),
    [
        pytest.param({"a": [1, 9], "b": [2, 9]}, {"a": 1, "b": 1}, id="apart at once"),
        pytest.param(
            {"code": [1, 9], "code review": [1, 2, 9], "other": [3, 9]},
            {"code": 2, "code review": 2, "other": 1},
            id="one begins another",
        ),
        pytest.param({"a": [1, 2], "b": [1, 2]}, {"a": 2, "b": 2}, id="never apart"),
        pytest.param({"a": []}, {"a": 0}, id="no tokens"),
    ],
)
def test_the_tree_tells_where_each_name_parts_from_all_others(
    tokens: dict[str, list[int]], depths: dict[str, int]
) -> None:
    assert deciding_depths(tokens) == depths


@pytest.mark.parametrize(
    ("depths", "guess"),
    [
        pytest.param([1, 1, 1, 1], 1, id="all apart at once"),
        pytest.param([1, 1, 2, 2], 2, id="one step more for all is cheaper than a second question for half"),
        pytest.param([1] * 20 + [8, 8], 1, id="two long twins do not slow twenty others"),
        pytest.param([3, 3, 3], 3, id="a prefix shared by all"),
    ],
)
def test_the_first_guess_is_the_cheapest_when_all_names_are_equally_likely(depths: list[int], guess: int) -> None:
    assert first_guess(depths) == guess


@pytest.mark.parametrize(
    ("spelled", "never"),
    [
        pytest.param(['code|"', 'code| review|"'], True, id="one begins another"),
        pytest.param(["ab", "x|a"], False, id="a piece of one begins another that has no such piece"),
        pytest.param(["ab", "x|a", "b"], True, id="unless another has the rest"),
        pytest.param(["ab|cd", "a|xy"], True, id="a piece that begins two"),
        pytest.param(["a|xy", "axz", "x|q"], False, id="into the middle of a piece"),
        pytest.param(["a||b"], True, id="a piece without text"),
    ],
)
def test_pieces_with_which_one_may_get_stuck_are_told(spelled: list[str], never: bool) -> None:
    assert never_stuck([pieces.split("|") for pieces in spelled]) is never


@given(st.lists(st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4), min_size=1), st.data())
def test_where_nobody_gets_stuck_every_way_ends_in_a_whole_text(spelled: list[list[str]], data: st.DataObject) -> None:
    # Invariant: whatever pieces are chosen one after the other, either a text is whole or another piece fits.
    assume(never_stuck(spelled))
    whole = {"".join(pieces) for pieces in spelled}
    pieces = sorted({piece for pieces in spelled for piece in pieces})
    written = ""
    while written not in whole:
        fitting = [piece for piece in pieces if any(text.startswith(written + piece) for text in whole)]
        assert fitting
        written += data.draw(st.sampled_from(fitting))


@pytest.mark.parametrize(
    ("written", "names"),
    [
        pytest.param("", ("code", "code review", "cooking", "été", "other"), id="nothing"),
        pytest.param("co", ("code", "code review", "cooking"), id="a shared beginning"),
        pytest.param("code", ("code", "code review"), id="a name that begins another"),
        pytest.param('code"', ("code",), id="its closing quote"),
        pytest.param("code ", ("code review",), id="one letter more"),
        pytest.param(
            "\N{REPLACEMENT CHARACTER}", ("code", "code review", "cooking", "été", "other"), id="half a character"
        ),
        pytest.param("ét\N{REPLACEMENT CHARACTER}", ("été",), id="half a character after whole ones"),
        pytest.param("poetry", (), id="not a choice"),
    ],
)
def test_the_written_text_leaves_the_names_it_fits(written: str, names: tuple[str, ...]) -> None:
    assert remaining(written, CHOICES) == names


def step(text: str, **likeliest: float) -> Step:
    """Probabilities, where the tests read better with them; `_` stands for a space or a quote in keywords."""
    return Step(text, tuple((token.replace("_", " "), math.log(p)) for token, p in likeliest.items()))


def weighed(steps: list[Step], decided: str, choices: Mapping[str, str] = CHOICES) -> dict[str, float] | None:
    weights = weigh(steps, decided, choices)
    return None if weights is None else {name: round(weight, 6) for name, weight in weights.items()}


def test_a_branch_weighs_its_share_among_the_branches() -> None:
    weights = weighed([step("c", c=0.3, o=0.1, x=0.5)], "cooking", spell_choices(["cooking"], COMPACT))
    assert weights == {"cooking": 0.75, "other": 0.25}


def test_tokens_that_spell_the_same_name_differently_weigh_together() -> None:
    weights = weighed([step("c", c=0.3, co=0.2, cook=0.1, o=0.4)], "cooking", spell_choices(["cooking"], COMPACT))
    assert weights == {"cooking": 0.6, "other": 0.4}


def test_probabilities_multiply_along_the_way_and_losers_share_theirs() -> None:
    steps = [step("co", co=0.8, o=0.2), step("de", de=0.5, o=0.5), step(" ", _=1.0)]
    assert weighed(steps, "code review", CHOICES) == {
        "code": 0.0,
        "code review": 0.4,
        "cooking": 0.4,
        "été": 0.0,
        "other": 0.2,
    }


def test_names_turned_down_together_share_evenly() -> None:
    weights = weighed([step("o", co=0.6, o=0.4)], "other", CHOICES)
    assert weights is not None
    assert weights["code"] == weights["code review"] == weights["cooking"] == 0.2


def test_half_a_character_leads_to_the_names_that_go_on_beyond_ascii() -> None:
    half = Step("", (("", math.log(0.5)), ("o", math.log(0.5))))
    weights = weighed([half, step("é", é=1.0)], "été", CHOICES)
    assert weights is not None
    assert (weights["été"], weights["other"]) == (0.5, 0.5)


def test_a_token_that_ends_one_character_and_holds_the_next_is_understood() -> None:
    choices = spell_choices(["数学", "数字"], COMPACT)
    steps = [step("", **{"": 0.5, "数学": 0.25, "o": 0.25}), step("�学", **{"�学": 0.5, "�字": 0.25, "数": 0.25})]
    assert weighed(steps, "数学", choices) == {"数学": 0.5625, "数字": 0.1875, "other": 0.25}


def test_masked_tokens_weigh_nothing() -> None:
    masked = Step("o", (("o", math.log(0.5)), ("co", -9999.0)))
    assert weighed([masked], "other", CHOICES) == {name: float(name == "other") for name in CHOICES}


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([step("x", x=1.0)], id="another text"),
        pytest.param([step("", x=1.0)], id="no branch among the likeliest"),
        pytest.param([step("co", co=1.0), step("de", de=1.0)], id="the way to another name"),
    ],
)
def test_log_probabilities_that_do_not_fit_the_decision_give_no_weights(steps: list[Step]) -> None:
    assert weighed(steps, "other", CHOICES) is None


names = st.lists(
    st.text(alphabet="ab \"'é", min_size=1, max_size=6) | st.sampled_from(["code", "code review", "codex"]),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(names, st.data())
def test_the_first_text_that_fits_one_name_is_that_names(configured: list[str], data: st.DataObject) -> None:
    # Invariants: however a name is cut into pieces, the text decides for it and no other; the weights are a
    # distribution in which every number is a probability, whichever tokens the server lists.
    choices = spell_choices(configured, data.draw(st.sampled_from([COMPACT, MODEL_CARD])))
    answer = data.draw(st.sampled_from(sorted(choices)))
    spelled = choices[answer]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(spelled)), max_size=4)) | {len(spelled)})
    written, steps = "", []
    for start, end in zip([0, *cuts], cuts, strict=False):
        if len(remaining(written, choices)) == 1:
            break
        piece = spelled[start:end]
        rivals = {
            text[len(written) :][: data.draw(st.integers(1, 3))]
            for text in choices.values()
            if text.startswith(written)
        }
        listed = {token: data.draw(st.floats(0.01, 1)) for token in sorted((rivals | {piece, "zz"}) - {""})}
        steps.append(Step(piece, tuple((token, math.log(p)) for token, p in listed.items())))
        written += piece
    assert remaining(written, choices) == (answer,)

    weights = weigh(steps, answer, choices)
    assert weights is not None
    assert list(weights) == list(choices)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert 0 < weights[answer] <= 1


@given(st.dictionaries(st.text(max_size=3), st.lists(st.integers(0, 3), max_size=5), min_size=1))
def test_a_name_cut_to_its_deciding_depth_is_nobody_elses_beginning(tokens: dict[str, list[int]]) -> None:
    # Invariant: at its depth a name is alone, unless its tokens begin another's whole; the guess is one of the depths.
    depths = deciding_depths(tokens)
    for name, depth in depths.items():
        rivals = [other for other in tokens if other != name and tokens[other][:depth] == tokens[name][:depth]]
        assert not rivals or depth == len(tokens[name])
    assert first_guess(depths.values()) in depths.values()
