"""Whole conversations over invented lists of routes: `data_own/dialogues*.txt`.

Owns: reading them, and drawing one block of turns for a training step. A list begins as an outline's (`data.py`), then

    ~                       begins a dialogue; only the user's turns are written
    n ROUTE: text           asks for something new, of this route
    c: text                 goes on with what the last `n` was about
    e: text                 asks for nothing: thanks, goodbye, "that is all"
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data import DIALOGUES, Candidate, Group, candidates_of, excerpt

TURNS = 18  # of a block, at least; the last dialogue is used whole
_TURN = re.compile(r"(?:n ([^:]+)|(c)|(e)): (.+)")


@dataclass(frozen=True)
class Said:
    """A user's turn; `route` is the position in its list that the conversation is on then."""

    text: str
    route: int
    kind: str  # "n", "c" or "e"


@dataclass(frozen=True)
class Dialogues:
    """One list and its conversations. The texts of `group` are the turns that ask for something new."""

    group: Group
    spoken: tuple[tuple[Said, ...], ...]

    @property
    def turns(self) -> int:
        return sum(map(len, self.spoken))


@dataclass(frozen=True)
class TurnBlock:
    """Turns of some dialogues, in order. `before[i]` is the place of the turn before turn i in `texts`, -1: none.

    `labels` are positions in `candidates`, -1 where nothing is asked; `held` is the route of the turn before.
    """

    candidates: tuple[Candidate, ...]
    texts: tuple[str, ...]
    labels: tuple[int, ...]
    before: tuple[int, ...]
    held: tuple[int, ...]
    opens: tuple[bool, ...]


def read_dialogues(folder: Path) -> list[Dialogues]:
    groups: list[Group] = []
    spoken: list[list[list[Said]]] = []
    for path in sorted(folder.glob(DIALOGUES)):
        for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            if line.startswith("= "):
                groups.append(Group(f"dialogues:{line[2:]}", 0.0, own=True))
                spoken.append([])
            elif line.startswith("+ "):
                name, *descriptions = (part.strip() for part in line[2:].split(" | "))
                groups[-1].add(name, descriptions)
            elif line == "~":
                spoken[-1].append([])
            else:
                said = _said(line, groups[-1], spoken[-1][-1], f"{path}:{number}")
                spoken[-1][-1].append(said)
                if said.kind == "n":
                    groups[-1].texts[said.route].append(said.text)
    return [Dialogues(group, tuple(map(tuple, each))) for group, each in zip(groups, spoken, strict=True)]


def _said(line: str, group: Group, earlier: Sequence[Said], where: str) -> Said:
    found = _TURN.fullmatch(line)
    if not found or (found[1] and found[1] not in group.names) or not (found[1] or earlier):
        raise ValueError(f"{where}: expected `n ROUTE: text` of a route above, `c: text` or `e: text`: {line}")
    text = excerpt(found[4].replace("\\n", "\n"))
    if found[1]:
        return Said(text, group.names.index(found[1]), "n")
    return Said(text, earlier[-1].route, found[2] or found[3])


def draw_turns(dialogues: Dialogues, rng: random.Random) -> TurnBlock:
    texts: list[str] = []
    labels: list[int] = []
    before: list[int] = []
    held: list[int] = []
    opens: list[bool] = []
    for spoken in rng.sample(dialogues.spoken, len(dialogues.spoken)):
        for place, said in enumerate(spoken):
            before.append(len(texts) - 1 if place else -1)
            held.append(spoken[place - 1].route if place else -1)
            texts.append(said.text)
            labels.append(-1 if said.kind == "e" else said.route)
            opens.append(said.kind == "n")
        if len(texts) >= TURNS:
            break
    every = [[i] for i in range(len(dialogues.group.names))]
    return TurnBlock(
        tuple(candidates_of(dialogues.group, every, rng)),
        tuple(texts), tuple(labels), tuple(before), tuple(held), tuple(opens),
    )  # fmt: skip
