"""What a classifier may read of a request: the turns of user and assistant that carry text, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in the order they were said. System, tool and developer turns, images, audio and files are not in it."""

    turns: tuple[Turn, ...]

    @property
    def has_user_text(self) -> bool:
        return any(turn.role == "user" and turn.content.strip() for turn in self.turns)
