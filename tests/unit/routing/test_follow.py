"""What a turn inherits from the turns before it, and which turns are read at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.routing.backdrop import (
    CONTINUATIONS,
    ENDINGS,
    GREETINGS,
    TOPIC_SHARE,
    TOPICS,
    Backdrop,
    embed_backdrop,
)
from router_service.routing.catalog import Preference
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import Reason
from router_service.routing.follow import (
    MOST_EARLIER_BYTES,
    MOST_TURNS,
    PRIOR,
    Judge,
    Judged,
    Rules,
    UserTurn,
    byte_length,
    heard,
    opening,
)
from router_service.routing.scoring import CALIBRATION, Encoded, Thresholds, Vector, embed_routes

CODE, POEM = 0, 1
PREFERENCES = (Preference("code", "code", ()), Preference("poem", "poem", ()))
AXES = ("code", "poem", "done", "yes", "hello", "else")


def embed(text: str) -> Vector:
    """Each word of AXES is a direction of its own, any other text the last of them."""
    words = [word in text for word in AXES]
    return np.asarray(np.array(words if any(words) else [0, 0, 0, 0, 0, 1], np.float32) / np.sqrt(max(1, sum(words))))


BACKDROP = Backdrop(*(np.stack([embed(text)]) for text in ("hello", "done", "yes", "else")))
JUDGE = Judge(embed_routes(PREFERENCES, embed), BACKDROP, Rules(Thresholds()))


def turn(text: str, opening: float | None = None) -> UserTurn:
    return UserTurn(Encoded(embed(text), opening), byte_length(text))


def follow(*texts: str) -> Judged:
    return JUDGE.follow([turn(text) for text in texts])


def long(text: str) -> str:
    """The same, as long as a turn that stands on its own."""
    return text.ljust(PRIOR.opening_bytes, ".")


# --- what a turn inherits ---


def test_a_turn_without_a_topic_stays_with_the_route_before() -> None:
    for texts in (("code", "yes"), ("code", "yes", "go on"), ("code", "poem", "yes")):
        judged = follow(*texts)
        expected = {"code": CODE, "poem": POEM}[[text for text in texts if text in ("code", "poem")][-1]]
        assert (judged.verdict.reason, judged.verdict.best, judged.previous) == (Reason.MATCHED, expected, expected)


def test_a_real_switch_is_seen_even_in_a_word() -> None:
    judged = follow("code", "yes", "poem")
    assert (judged.verdict.best, judged.previous) == (POEM, CODE)


def test_the_head_start_shrinks_with_the_length_of_the_turn() -> None:
    starts = [follow("code", "y" * length).head_start for length in (1, 40, 80, PRIOR.opening_bytes, 2000)]
    assert starts == sorted(starts, reverse=True)
    assert starts[0] == pytest.approx(PRIOR.hold / CALIBRATION.lead, rel=0.01)
    assert starts[-2:] == [0.0, 0.0]


def test_the_head_start_is_part_of_the_scores() -> None:
    judged = follow("code", "yes")
    assert judged.scores[CODE] - judged.scores[POEM] >= judged.head_start > 0


def test_what_the_encoder_says_of_an_opening_counts_more_than_the_length() -> None:
    text = "y" * (PRIOR.opening_bytes // 2)
    found = [opening(turn(text, said)) for said in (None, 0.0, 0.5, 1.0)]
    assert found == pytest.approx([0.5, 0.15, 0.5, 0.85])


def test_a_conversation_of_one_turn_inherits_nothing() -> None:
    judged = follow("code")
    assert (judged.previous, judged.head_start, judged.ended) == (None, 0.0, False)
    assert judged.scores.tolist() == JUDGE.routes.scores(embed("code")).tolist()


def test_after_a_turn_of_no_route_there_is_no_head_start() -> None:
    judged = follow("else", "yes")
    assert judged.verdict.reason is Reason.NO_ROUTE
    assert (judged.previous, judged.head_start) == (None, 0.0)


def test_what_was_not_sure_enough_to_be_routed_is_not_held_to() -> None:
    unsure = replace(JUDGE, rules=Rules(Thresholds(confidence=0.9)))
    judged = unsure.follow([turn("code poem"), turn("yes")])
    assert judged.previous is None


def test_an_offset_rates_a_preference_up_or_down_in_every_turn() -> None:
    raised = replace(JUDGE, rules=Rules(Thresholds(), offsets=(-0.3, 0.0)))
    for texts in (["code poem"], ["else", "code poem"]):
        turns = [turn(text) for text in texts]
        assert (raised.follow(turns).verdict.best, JUDGE.follow(turns).verdict.best) == (POEM, CODE)


# --- what people ask about, whatever is configured ---


def test_a_turn_near_a_topic_has_to_be_nearer_to_a_preference() -> None:
    strict = replace(JUDGE, rules=Rules(Thresholds(score=0.4)))
    found = [strict.follow([turn(text)]) for text in ("code poem done yes", "code poem done yes else")]
    assert [judged.verdict.reason for judged in found] == [Reason.MATCHED, Reason.NO_ROUTE]
    assert found[1].scores[CODE] == pytest.approx((1 - TOPIC_SHARE) / np.sqrt(5))


def test_a_topic_counts_the_same_against_every_preference() -> None:
    scores = follow("code else").scores
    assert scores[CODE] - scores[POEM] == pytest.approx(1 / np.sqrt(2))


# --- the beginning of a conversation ---


def test_a_first_turn_that_only_greets_has_no_route_and_leaves_none() -> None:
    judged = follow("hello")
    assert (judged.verdict.reason, judged.ended) == (Reason.NO_ROUTE, True)
    assert follow("hello", "yes").previous is None
    assert follow("hello", "code").verdict.best == CODE


def test_a_first_turn_that_greets_and_asks_is_routed() -> None:
    judged = follow("hello, a poem please")
    assert (judged.verdict.reason, judged.verdict.best, judged.ended) == (Reason.MATCHED, POEM, False)


def test_a_greeting_in_a_conversation_stays_on_its_route() -> None:
    judged = follow("code", "hello")
    assert (judged.verdict.best, judged.ended) == (CODE, False)


def test_where_a_preference_is_for_small_talk_a_greeting_is_its_to_answer() -> None:
    routes = embed_routes((*PREFERENCES, Preference("chat", "small talk", ())), embed)
    backdrop = embed_backdrop(embed, routes)
    assert len(backdrop.greetings) == 0
    assert not Judge(routes, backdrop, JUDGE.rules).follow([turn("hello")]).ended


# --- the end of a conversation ---


def test_a_turn_that_asks_for_nothing_has_no_route_whatever_came_before() -> None:
    judged = follow("code", "done")
    assert (judged.verdict.reason, judged.ended, judged.head_start) == (Reason.NO_ROUTE, True, 0.0)


def test_a_turn_that_ends_one_thing_and_asks_for_another_is_routed() -> None:
    judged = follow("code", "done, now a poem")
    assert (judged.verdict.reason, judged.verdict.best, judged.ended) == (Reason.MATCHED, POEM, False)


def test_what_follows_an_end_may_go_on_with_what_came_before_it() -> None:
    judged = follow("code", "done", "oh wait")
    assert (judged.verdict.reason, judged.verdict.best, judged.previous) == (Reason.MATCHED, CODE, CODE)


def test_a_first_turn_never_ends_anything() -> None:
    assert not follow("done").ended


def test_an_answer_as_near_to_going_on_as_to_an_end_goes_on() -> None:
    judged = follow("code", "done? yes")
    assert (judged.verdict.best, judged.ended) == (CODE, False)


def test_the_texts_of_the_backdrop_are_texts_of_their_own() -> None:
    kinds = (GREETINGS, ENDINGS, CONTINUATIONS, TOPICS)
    texts = [text.casefold() for kind in kinds for text in kind]
    assert len(set(texts)) == len(texts)
    found = embed_backdrop(embed, embed_routes(PREFERENCES, embed))
    shapes = [vectors.shape for vectors in (found.greetings, found.endings, found.continuations, found.topics)]
    assert shapes == [(len(kind), 6) for kind in kinds]


# --- whatever is said ---


@given(
    st.lists(
        st.sampled_from(["code", "poem", "done", "else", "yes", "hello", long("code poem")]), min_size=1, max_size=6
    )
)
def test_the_same_conversation_always_gets_the_same_answer_and_a_bounded_head_start(texts: Sequence[str]) -> None:
    # Nothing is remembered: what was asked in between changes nothing.
    first = follow(*texts)
    follow("poem", "yes", "done")
    second = follow(*texts)
    assert first.scores.tolist() == second.scores.tolist()
    assert (first.verdict, first.previous, first.ended) == (second.verdict, second.previous, second.ended)
    assert 0 <= first.head_start <= PRIOR.hold / CALIBRATION.lead
    assert not (first.ended and first.verdict.reason is not Reason.NO_ROUTE)


# --- what is read of a conversation ---


def said(*texts: str) -> Conversation:
    return Conversation(tuple(each for text in texts for each in (Turn("user", text), Turn("assistant", "fine"))))


def test_user_turns_with_text_are_read_in_their_order() -> None:
    turns = (Turn("user", " a poem "), Turn("assistant", "here"), Turn("user", "and code"), Turn("user", " \n"))
    assert heard(Conversation((*turns, Turn("assistant", "done")))) == ("a poem", "and code")


@pytest.mark.parametrize("turns", [(), (Turn("assistant", "hello"),), (Turn("user", "  "),)])
def test_without_user_text_there_is_nothing_to_read(turns: tuple[Turn, ...]) -> None:
    assert heard(Conversation(turns)) == ()


def test_of_a_long_conversation_the_newest_turns_are_read() -> None:
    texts = [str(number) for number in range(MOST_TURNS + 5)]
    assert heard(said(*texts)) == tuple(texts[-MOST_TURNS:])


def test_the_newest_two_turns_are_read_however_long_and_of_those_before_what_fits() -> None:
    page = "x" * (MOST_EARLIER_BYTES // 2)
    assert heard(said("first", page, page, page, page)) == (page, page, page, page)
    assert heard(said("first", "second", page + page, page, page)) == (page + page, page, page)
    assert heard(said("é" * MOST_EARLIER_BYTES, "b", "c")) == ("b", "c")


def test_half_a_surrogate_pair_is_a_text_too() -> None:
    assert heard(said("\ud83d", "b", "c")) == ("\ud83d", "b", "c")


@given(st.lists(st.text(), max_size=12))
def test_reading_is_bounded_and_takes_the_newest(texts: list[str]) -> None:
    # Always a suffix of what has text, and never more than the two bounds allow.
    told = heard(said(*texts))
    with_text = [text.strip() for text in texts if text.strip()]
    assert list(told) == with_text[len(with_text) - len(told) :]
    assert len(told) <= MOST_TURNS
    assert sum(map(byte_length, told[:-2])) <= MOST_EARLIER_BYTES
    assert bool(told) == bool(with_text)
