"""What a classifier may read of a request: the turns of user and assistant that carry text, and nothing else.

Owns the values and the budget. Reading them from a client's body is `formats`; writing them into a prompt is `prompt`.

A conversation is cut down by three rules, in this order:
1. the last user turn is paid for first: it is what is being routed;
2. then the newest turns, until one does not fit;
3. a turn that does not fit is cut in the middle (60 % head, `…`, 40 % tail) and the turns before it are dropped.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec.structs import replace

Role = Literal["user", "assistant"]

CUT_MARK = "…"
_HEAD_SHARE = 0.6
# Less than a short sentence of an older turn says nothing about it; the whole turn is dropped instead.
_LEAST_CUT_BYTES = 64
# Grapheme clusters are kept whole up to this many code points; a longer stack of marks is not text anybody reads.
_LONGEST_CLUSTER = 16
_ZERO_WIDTH_JOINER = "\u200d"


class Turn(msgspec.Struct, frozen=True, gc=False):  # a body may hold a million: eight times cheaper than a dataclass
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in the order they were said. System, tool and developer turns, images, audio and files are not in it."""

    turns: tuple[Turn, ...]

    @property
    def has_user_text(self) -> bool:
        return self.last_user is not None

    @property
    def last_user(self) -> int | None:
        """Position of the newest user turn with text, which is the one that is routed."""
        for position in range(len(self.turns) - 1, -1, -1):
            turn = self.turns[position]
            if turn.role == "user" and turn.content.strip():
                return position
        return None


def utf8_cost(turn: Turn) -> int:
    """What a turn costs where only its text counts."""
    return len(turn.content.encode())


def trim(
    conversation: Conversation,
    *,
    max_turns: int,
    budget_bytes: int,
    cost: Callable[[Turn], int] = utf8_cost,
) -> Conversation:
    """The newest turns that fit, at most `max_turns` of them; the last user turn is always among them.

    `cost` is what a turn adds to the prompt, in bytes: at least one for each character, and more text never costs
    less. Only texts that may fit are ever measured: a turn of many megabytes is as cheap as one of the budget's size.
    ValueError if not even an empty last user turn fits.
    """
    turns = conversation.turns
    last_user = conversation.last_user
    kept: dict[int, Turn] = {}
    room = budget_bytes
    if last_user is not None:
        turn = _fit(turns[last_user], room, cost)
        if turn is None:
            raise ValueError(f"a budget of {budget_bytes} bytes has no room for a turn")
        if turn is not turns[last_user]:
            return Conversation((turn,))
        kept[last_user] = turn
        room -= cost(turn)
    for position in range(len(turns) - 1, -1, -1):
        if len(kept) >= max_turns:
            break
        if position == last_user:
            continue
        turn = _fit(turns[position], room, cost, least_bytes=_LEAST_CUT_BYTES)
        if turn is not None:
            kept[position] = turn
            room -= cost(turn)
        if turn is not turns[position]:
            break
    return Conversation(tuple(kept[position] for position in sorted(kept)))


def _fit(turn: Turn, room: int, cost: Callable[[Turn], int], *, least_bytes: int = 0) -> Turn | None:
    """The turn itself if it fits, else its two ends; None if less than `least_bytes` of them would."""
    text = turn.content
    if len(text) <= room and cost(turn) <= room:
        return turn
    empty = cost(replace(turn, content=""))
    room -= cost(replace(turn, content=CUT_MARK))
    if room < least_bytes:
        return None

    def affordable(length: int, room: int, part: Callable[[int], str]) -> int:
        """How many of `length` characters `room` pays for."""
        return bisect_right(range(1, length + 1), room, key=lambda n: cost(replace(turn, content=part(n))) - empty)

    head_room = int(room * _HEAD_SHARE)
    length = affordable(min(len(text), head_room), head_room, lambda n: text[:n])
    head = text[: _cluster_start(text, length)]
    tail_room = room - (cost(replace(turn, content=head)) - empty)
    length = affordable(min(len(text) - len(head), tail_room), tail_room, lambda n: text[-n:])
    tail = text[_cluster_end(text, len(text) - length) :]
    return replace(turn, content=f"{head}{CUT_MARK}{tail}")


def _cluster_start(text: str, position: int) -> int:
    """The nearest position at or before `position` that is not inside a grapheme cluster."""
    for back in range(min(position, _LONGEST_CLUSTER)):
        if not _is_inside_cluster(text, position - back):
            return position - back
    return position


def _cluster_end(text: str, position: int) -> int:
    """The nearest position at or after `position` that is not inside a grapheme cluster."""
    for forth in range(min(len(text) - position, _LONGEST_CLUSTER)):
        if not _is_inside_cluster(text, position + forth):
            return position + forth
    return position


def _is_inside_cluster(text: str, position: int) -> bool:
    """Whether a cut at `position` would part a mark, a joined emoji or `\\r\\n` from what it belongs to.

    The common cases of Unicode's UAX 29, from what the standard library knows of characters.
    """
    if not 0 < position < len(text):
        return False
    before, after = text[position - 1], text[position]
    return (
        _ZERO_WIDTH_JOINER in (before, after)
        or unicodedata.category(after) in {"Mn", "Me", "Mc"}
        or "\U0001f3fb" <= after <= "\U0001f3ff"  # skin tones
        or (before == "\r" and after == "\n")
    )
