"""Figures that only conversations have. Pure.

A conversation is its turns in order, each a label and an answer. Going by the labels it falls into spans: the longest
runs of turns with one label ("other" is a label like any). A turn whose label differs from the turn before is a switch.
A turn whose label does not, but whose answer does, is a flap: the user stayed on the subject and the model changed.

    labels    A  A  A  B  B        spans: A A A | B B       switch: turn 4
    answers   A  A  B  B  B        the first span is not right; flap: turn 3; turn 4 is right at its switch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise


@dataclass(frozen=True, slots=True)
class LabelledTurn:
    """`predicted` is None when the classifier failed."""

    expected: str
    predicted: str | None

    @property
    def right(self) -> bool:
        return self.expected == self.predicted


@dataclass(frozen=True, slots=True)
class ConversationRights:
    """One conversation, item by item, so that intervals can draw whole conversations."""

    turns: tuple[bool, ...]
    spans: tuple[bool, ...]
    switches: tuple[bool, ...]
    flaps: tuple[bool, ...]  # one per turn that stays on the subject: did the answer change

    @property
    def whole(self) -> bool:
        return all(self.turns)


def judge(turns: Sequence[LabelledTurn]) -> ConversationRights:
    """What was right in one conversation."""
    spans = [list(span) for _, span in groupby(turns, key=lambda turn: turn.expected)]
    pairs = list(pairwise(turns))
    return ConversationRights(
        turns=tuple(turn.right for turn in turns),
        spans=tuple(all(turn.right for turn in span) for span in spans),
        switches=tuple(now.right for before, now in pairs if now.expected != before.expected),
        flaps=tuple(now.predicted != before.predicted for before, now in pairs if now.expected == before.expected),
    )
