"""Which route a conversation is on, replayed over its own user turns.

"Yes, the second one" carries no topic. So the route of the previous turn gets a bonus, larger where the turn does not
read like a new request (the encoder's second output), and the previous and the current turn together count half.
Everything is recomputed from the conversation itself: no state, the same answer on every replica.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from score import Matrix

BONUS_NEW, BONUS_CONTINUED = (
    0.05,
    0.35,
)  # added to the previous route's score when the turn surely opens, surely continues
JOINED_SHARE = 0.5  # of the score of "previous + current user turn"


@dataclass(frozen=True)
class Turn:
    alone: Matrix  # [routes] scores of this user turn
    joined: Matrix  # [routes] scores of the previous and this user turn in one text
    opening: float  # probability that it asks for something new


def decide(turns: Sequence[Turn]) -> NDArray[np.int64]:
    """The route of each turn, given the turns before it."""
    chosen: list[int] = []
    for turn in turns:
        total = turn.alone.astype(np.float64)
        if chosen:
            total = total + JOINED_SHARE * turn.joined
            total[chosen[-1]] += BONUS_NEW + (BONUS_CONTINUED - BONUS_NEW) * (1.0 - turn.opening)
        chosen.append(int(total.argmax()))
    return np.array(chosen, dtype=np.int64)
