"""Which route a conversation is on, replayed over its own user turns: what the product does, less abstention.

"Yes, the second one" carries no topic. So a turn's score is 0.7 from the turn alone and 0.3 from its vector with a
quarter of the previous turn's vector added, and the route of the previous turn has a head start, larger where the turn
is short and does not read like a new request (the encoder's second output).
Specification: router_service/routing/follow.py, whose constants these are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from score import Matrix

ECHO, ECHO_SHARE = 0.25, 0.3
HEAD_START = 8.5 / 24.1  # `hold` in units of the calibration
OPENING_SHARE, OPENING_BYTES = 0.7, 180


@dataclass(frozen=True)
class Turn:
    alone: Matrix  # [routes] scores of this user turn
    echoed: Matrix  # [routes] scores with the echo of the turn before
    opening: float  # probability that it asks for something new
    bytes: int  # of its text in UTF-8


def echoing(turn: Matrix, before: Matrix) -> Matrix:
    """Unit vectors [384] -> [384]."""
    both: Matrix = turn + ECHO * before
    return both / np.float32(np.linalg.norm(both))


def decide(turns: Sequence[Turn]) -> NDArray[np.int64]:
    """The route of each turn, given the turns before it."""
    chosen: list[int] = []
    for turn in turns:
        total = turn.alone.astype(np.float64)
        if chosen:
            total = (1 - ECHO_SHARE) * total + ECHO_SHARE * turn.echoed
            long = min(1.0, turn.bytes / OPENING_BYTES)
            total[chosen[-1]] += HEAD_START * (1 - OPENING_SHARE * turn.opening - (1 - OPENING_SHARE) * long)
        chosen.append(int(total.argmax()))
    return np.array(chosen, dtype=np.int64)
