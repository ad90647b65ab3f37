"""Cutting a conversation down: newest first, the last user turn always, whole characters only."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router_service.routing.conversation import Conversation, Role, Turn, trim, utf8_cost


def talk(*contents: str) -> Conversation:
    """User and assistant in turns, ending with the user."""
    roles: tuple[Role, Role] = ("user", "assistant")
    first = (len(contents) + 1) % 2
    return Conversation(tuple(Turn(roles[(first + i) % 2], content) for i, content in enumerate(contents)))


def contents(conversation: Conversation) -> list[str]:
    return [turn.content for turn in conversation.turns]


def json_cost(turn: Turn) -> int:
    return len(json.dumps({"role": turn.role, "content": turn.content}))


def test_a_conversation_that_fits_is_left_as_it_is() -> None:
    conversation = talk("one", "two", "three")
    assert trim(conversation, max_turns=3, budget_bytes=11) == conversation


def test_the_newest_turns_win() -> None:
    assert contents(trim(talk("1", "2", "3", "4", "5"), max_turns=3, budget_bytes=1000)) == ["3", "4", "5"]


def test_a_turn_that_does_not_fit_is_cut_in_the_middle_and_older_ones_are_dropped() -> None:
    trimmed = trim(talk("old", "a" * 100 + "b" * 100, "new"), max_turns=16, budget_bytes=106)
    assert contents(trimmed) == ["a" * 60 + "…" + "b" * 40, "new"]


def test_less_than_a_sentence_of_an_older_turn_is_not_worth_keeping() -> None:
    assert contents(trim(talk("old", "a" * 200, "new"), max_turns=16, budget_bytes=60)) == ["new"]


def test_a_paste_larger_than_the_budget_keeps_its_two_ends() -> None:
    trimmed = trim(talk("old", "older", "h" * 500_000 + "t" * 500_000), max_turns=16, budget_bytes=1003)
    assert contents(trimmed) == ["h" * 600 + "…" + "t" * 400]


def test_the_last_user_turn_is_paid_for_before_a_later_assistant_turn() -> None:
    conversation = Conversation((Turn("user", "q" * 50), Turn("assistant", "a" * 500)))
    assert contents(trim(conversation, max_turns=16, budget_bytes=153)) == ["q" * 50, "a" * 60 + "…" + "a" * 40]


def test_the_last_user_turn_is_kept_beyond_max_turns() -> None:
    conversation = Conversation((Turn("user", "q"), *(Turn("assistant", f"a{i}") for i in range(5))))
    assert contents(trim(conversation, max_turns=2, budget_bytes=1000)) == ["q", "a4"]


@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param("👩‍🔬", id="a joined emoji"),
        pytest.param("👍🏽", id="a skin tone"),
        pytest.param("e\u0301", id="a combining accent"),
        pytest.param("\r\n", id="a line end"),
        pytest.param("❤️", id="a variation selector"),
    ],
)
def test_a_cut_leaves_grapheme_clusters_whole(cluster: str) -> None:
    for budget in range(60, 80):
        (cut,) = contents(trim(talk("<" + cluster * 100 + ">"), max_turns=1, budget_bytes=budget))
        head, _, tail = cut.partition("…")
        assert head == "<" + cluster * head.count(cluster)
        assert tail == cluster * tail.count(cluster) + ">"


def test_a_stack_of_marks_that_nobody_reads_is_cut_where_it_must_be() -> None:
    (cut,) = contents(trim(talk("e" + "\u0301" * 1000), max_turns=1, budget_bytes=103))
    assert len(cut) == 51


def test_a_budget_without_room_for_a_turn_is_an_error() -> None:
    with pytest.raises(ValueError, match="a budget of 2 bytes has no room for a turn"):
        trim(talk("long enough"), max_turns=1, budget_bytes=2)


def test_only_text_that_may_fit_is_measured() -> None:
    longest = 0

    def cost(turn: Turn) -> int:
        nonlocal longest
        longest = max(longest, len(turn.content))
        return json_cost(turn)

    trim(talk("x" * 1_000_000, "y" * 1_000_000, "z" * 1_000_000), max_turns=16, budget_bytes=4000, cost=cost)
    assert longest <= 4000


texts = st.text(max_size=60) | st.text(alphabet=["a", "é", "😀", '"', "\\", "\n", "\u0301", "\u200d"], max_size=200)
turns = st.builds(Turn, st.sampled_from(["user", "assistant"]), texts)
conversations = st.lists(turns, max_size=8).map(lambda turns: Conversation(tuple(turns)))


@given(conversations, st.integers(1, 5), st.integers(80, 600), st.sampled_from([utf8_cost, json_cost]))
@example(Conversation((Turn("user", "a" * 200), Turn("assistant", "b" * 200))), 1, 100, json_cost)
def test_what_is_kept_is_the_newest_that_fits_and_is_cut_at_most_once(
    conversation: Conversation, max_turns: int, budget_bytes: int, cost: Callable[[Turn], int]
) -> None:
    # Invariants: within the budget and the count; in order; all but one turn untouched; a cut turn is its own two
    # ends around the mark; the last user turn is there.
    trimmed = trim(conversation, max_turns=max_turns, budget_bytes=budget_bytes, cost=cost)
    assert len(trimmed.turns) <= max_turns
    assert sum(map(cost, trimmed.turns)) <= budget_bytes

    originals = iter(conversation.turns)
    cuts = 0
    for turn in trimmed.turns:
        for original in originals:
            if turn == original:
                break
            head, mark, tail = turn.content.partition("…")
            is_cut = mark and original.content.startswith(head) and original.content.endswith(tail)
            if is_cut and turn.role == original.role and len(turn.content) <= len(original.content):
                cuts += 1
                break
        else:
            pytest.fail(f"{turn} is not in the conversation, or out of order")
    assert cuts <= 1

    if conversation.last_user is not None:
        said = conversation.turns[conversation.last_user].content
        assert any(
            turn.role == "user" and said.startswith(turn.content.partition("…")[0]) and turn.content
            for turn in trimmed.turns
        )


@given(texts.filter(str.strip), st.integers(40, 300))
def test_a_cut_falls_between_characters_and_spends_the_room_it_has(text: str, budget_bytes: int) -> None:
    # Invariant: the result encodes, and wastes no more than the clusters at the cut could not share.
    (turn,) = trim(talk(text), max_turns=1, budget_bytes=budget_bytes).turns
    spent = len(turn.content.encode())
    assert spent <= budget_bytes
    if turn.content != text:
        assert spent > budget_bytes - 2 * 4 * 17
