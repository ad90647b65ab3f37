from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router_service.evaluate.conversations import ConversationRights, LabelledTurn, judge

turns = st.lists(st.builds(LabelledTurn, st.sampled_from("ab"), st.sampled_from(["a", "b", None])), max_size=12)


def conversation(expected: str, predicted: str) -> list[LabelledTurn]:
    """One letter a turn; `-` is a failure."""
    return [LabelledTurn(want, None if got == "-" else got) for want, got in zip(expected, predicted, strict=True)]


def test_the_example_at_the_top_of_the_module_holds() -> None:
    assert judge(conversation("AAABB", "AABBB")) == ConversationRights(
        turns=(True, True, False, True, True),
        spans=(False, True),
        switches=(True,),
        flaps=(False, True, False),
    )


def test_a_first_turn_is_no_switch() -> None:
    assert judge(conversation("A", "A")).switches == ()


def test_coming_back_to_a_subject_is_a_span_of_its_own() -> None:
    assert judge(conversation("ABA", "AAA")).spans == (True, False, True)


def test_a_failed_turn_is_wrong_and_flaps() -> None:
    found = judge(conversation("AAA", "A-A"))
    assert found.turns == (True, False, True)
    assert found.flaps == (True, True)


def test_a_conversation_is_whole_only_if_every_turn_is_right() -> None:
    assert judge(conversation("AAB", "AAB")).whole
    assert not judge(conversation("AAB", "AAA")).whole


@given(turns)
def test_switches_and_steady_turns_are_all_turns_but_the_first(found: list[LabelledTurn]) -> None:
    # Each turn after the first either stays on its subject or changes it.
    rights = judge(found)
    assert len(rights.switches) + len(rights.flaps) == max(0, len(found) - 1)
    assert len(rights.spans) == (len(rights.switches) + 1 if found else 0)


@given(turns)
def test_a_conversation_all_right_never_flaps(found: list[LabelledTurn]) -> None:
    # A right answer follows the label, and the label does not change where a flap is counted.
    rights = judge([LabelledTurn(turn.expected, turn.expected) for turn in found])
    assert rights.whole
    assert not any(rights.flaps)
    assert all(rights.spans)


@given(turns)
def test_a_span_is_right_exactly_if_its_turns_are(found: list[LabelledTurn]) -> None:
    # As many spans wrong as contain a wrong turn: whole conversations and whole spans agree.
    rights = judge(found)
    assert all(rights.spans) == rights.whole
    assert sum(not right for right in rights.spans) <= sum(not right for right in rights.turns)
