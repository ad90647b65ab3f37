"""Training text: which files, which groups of competing routes, and one block of a training step.

Owns: reading rows and drawing blocks. Never touches tensors or weights.

A block is what a router sees: one list of routes that compete (siblings that are close, as hard negatives, and some
that are not), and texts that belong to them. Route texts vary as users' configurations do: name and description, the
description alone, the name alone; some clauses dropped; broad routes whose description lists narrow ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from score import Route, clauses

EXCERPT = 110  # characters of each end of a training text that is longer than both; beyond 64 tokens nothing is read
TEXTS = 36
ROUTES = (14, 26)
COMPOSITE_SHARE, COMPOSITE_SIZE = 0.45, (2, 7)
MIXED_SHARE = 0.35  # of the broad routes: made of routes that are not alike, as `utilities` or `everything else` are
EXAMPLE_SHARE, EXAMPLES = 0.25, (1, 5)
CLAUSE_DROP = 0.2
OWN_SHARE = 0.7  # of the blocks; among our own lists by the root of their texts
NONE = "-"  # the route of texts that belong to none
DIALOGUES = "dialogues*.txt"


@dataclass
class Group:
    """One list of competing routes. `descriptions[i]` are the alternative descriptions of route `names[i]`."""

    name: str
    weight: float
    names: list[str] = field(default_factory=list)
    descriptions: list[list[str]] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)
    neighbours: NDArray[np.int64] | None = None  # [routes, routes], nearest first
    own: bool = False

    def add(self, name: str, descriptions: Iterable[str]) -> int:
        if name not in self.names:
            self.names.append(name)
            self.descriptions.append([])
            self.texts.append([])
        index = self.names.index(name)
        known = self.descriptions[index]
        known.extend(d for d in descriptions if d not in known)
        return index


@dataclass(frozen=True)
class Candidate:
    """One route of a block: its texts to encode (`whole`, then parts) and the descriptions it stands for."""

    whole: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    candidates: tuple[Candidate, ...]
    texts: tuple[str, ...]
    labels: tuple[int, ...]  # index into candidates, -1: none of them
    group: str


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def outlines(folder: Path) -> list[Path]:
    """Our own lists of routes with texts; the other `.txt` files are conversations (dialogues.py)."""
    return sorted(path for path in folder.glob("*.txt") if not path.match(DIALOGUES))


def read_outline(path: Path) -> list[tuple[str, str, list[str], list[str]]]:
    """`data_own/*.txt` -> (group, route, descriptions, texts). `= group`, `+ route | description | …`, then texts."""
    found: list[tuple[str, str, list[str], list[str]]] = []
    group = ""
    for raw in path.read_text(encoding="utf-8").splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("= "):
            group = line[2:]
        elif line.startswith("+ "):
            name, *descriptions = (part.strip() for part in line[2:].split(" | "))
            found.append((group, name, descriptions, []))
        else:
            found[-1][3].append(line.replace("\\n", "\n"))
    return found


def excerpt(text: str) -> str:
    """Both ends of a long text: what is asked stands before or behind what is pasted."""
    if len(text) <= 2 * EXCERPT + 10:
        return text
    return f"{text[:EXCERPT].rsplit(' ', 1)[0]} … {text[-EXCERPT:].split(' ', 1)[-1]}"


def load_groups(weights: dict[str, float], folder: Path, own: Sequence[Path], held: Iterable[str]) -> list[Group]:
    """The groups of `folder/*.jsonl` and of the outlines `own`, less the texts in `held`."""
    groups: dict[str, Group] = {}
    skip = set(held)
    for stem, weight in weights.items():
        for row in read_rows(folder / f"{stem}.jsonl"):
            group = groups.setdefault(row["group"], Group(row["group"], 0.0))
            route = group.add(row["route"], [row["description"]])
            group.weight = max(group.weight, weight)
            if row["text"] not in skip:
                group.texts[route].append(excerpt(row["text"]))
    for path in own:
        for name, route_name, descriptions, texts in read_outline(path):
            group = groups.setdefault(f"outline:{name}", Group(f"outline:{name}", 0.0, own=True))
            if route_name == NONE:
                group.add(NONE, [])
                group.texts[group.names.index(NONE)].extend(map(excerpt, texts))
                continue
            route = group.add(route_name, descriptions)
            group.texts[route].extend(map(excerpt, texts))
    return list(groups.values())


def draw_block(group: Group, rng: random.Random) -> Block:
    proper = [i for i, name in enumerate(group.names) if name != NONE]
    size = min(len(proper), rng.randint(*ROUTES))
    chosen = _siblings(group, proper, size, rng)
    families = _families(group, chosen, rng) if rng.random() < COMPOSITE_SHARE else [[i] for i in chosen]
    with_examples = rng.random() < EXAMPLE_SHARE
    form = rng.random()
    candidates, pool = [], []
    for label, family in enumerate(families):
        texts = {i: list(group.texts[i]) for i in family}
        shown: list[str] = []
        if with_examples and rng.random() < 0.8:
            for _ in range(rng.randint(*EXAMPLES)):
                source = texts[rng.choice(family)]
                if len(source) > 1:
                    shown.append(source.pop(rng.randrange(len(source))))
        candidates.append(_candidate(group, family, form, shown, rng))
        pool.extend((label, i, texts[i]) for i in family if texts[i])
    counts = [len(texts) ** 0.5 for _, _, texts in pool]
    picks = rng.choices(pool, counts, k=min(TEXTS, sum(len(t) for _, _, t in pool)))
    drawn = {(rng.choice(texts), label) for label, _, texts in picks}
    if NONE in group.names:
        none = group.texts[group.names.index(NONE)]
        drawn |= {(t, -1) for t in rng.sample(none, min(4, len(none)))}
    ordered = sorted(drawn)
    rng.shuffle(ordered)
    return Block(tuple(candidates), tuple(t for t, _ in ordered), tuple(label for _, label in ordered), group.name)


def _siblings(group: Group, proper: list[int], size: int, rng: random.Random) -> list[int]:
    """Half of the routes are the nearest to one drawn at random, the others are drawn at random."""
    with_text = [i for i in proper if group.texts[i]]
    first = rng.choices(with_text, [len(group.texts[i]) ** 0.5 for i in with_text])[0]
    assert group.neighbours is not None
    near = [int(i) for i in group.neighbours[first] if i in set(proper)][: size // 2]
    chosen = dict.fromkeys([first, *near])
    rest = [i for i in proper if i not in chosen]
    chosen.update(dict.fromkeys(rng.sample(rest, max(0, min(len(rest), size - len(chosen))))))
    return list(chosen)


def candidates_of(group: Group, families: Sequence[list[int]], rng: random.Random) -> list[Candidate]:
    """One form of each route or broad route, without examples."""
    form = rng.random()
    return [_candidate(group, family, form, [], rng) for family in families]


def _families(group: Group, chosen: list[int], rng: random.Random) -> list[list[int]]:
    left, families = list(chosen), []
    assert group.neighbours is not None
    while left:
        first = left.pop(rng.randrange(len(left)))
        size = rng.randint(*COMPOSITE_SIZE) if rng.random() < 0.75 else 1
        near = [int(i) for i in group.neighbours[first] if i in set(left)]
        if rng.random() < MIXED_SHARE:
            rng.shuffle(near)
        near = near[: size - 1]
        left = [i for i in left if i not in near]
        families.append([first, *near])
    return families if len(families) > 1 else [[i] for i in chosen]


def _candidate(group: Group, family: list[int], form: float, shown: list[str], rng: random.Random) -> Candidate:
    rng.shuffle(family)
    descriptions = [rng.choice(group.descriptions[i] or [group.names[i]]) for i in family]
    names = [group.names[i] for i in family]
    if len(family) > 1:
        name = " and ".join(names[:2]) if rng.random() < 0.3 else _common(names) or names[0]
        pieces = [rng.choice([n, rng.choice(clauses(d)), d]) for n, d in zip(names, descriptions, strict=True)]
        description = ", ".join(pieces[:-1]) + rng.choice([" and ", ", "]) + pieces[-1]
        if form > 0.5 or not _common(names):
            return _texts(None, description, shown, rng)
        return _texts(name, description, shown, rng)
    if form < 0.6:
        return _texts(names[0], descriptions[0], shown, rng)
    if form < 0.85:
        return _texts(None, descriptions[0], shown, rng)
    return _texts(None, names[0], shown, rng)


def _texts(name: str | None, description: str, shown: list[str], rng: random.Random) -> Candidate:
    parts = clauses(description)
    if len(parts) > 2:
        parts = [p for p in parts if rng.random() > CLAUSE_DROP] or parts[:1]
    if name is None:
        return Candidate(description, (*parts, *shown))
    route = Route(name, description)
    return Candidate(route.whole, (route.label, *parts, *shown))


def _common(names: list[str]) -> str:
    """The words all names begin with: `card arrival`, `card linking` -> `card`."""
    split = [n.split() for n in names]
    shared = []
    for words in zip(*split, strict=False):
        if len(set(words)) > 1:
            break
        shared.append(words[0])
    return " ".join(shared)


def nearest(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -1)
    return np.argsort(-similar, axis=1).astype(np.int64)


def group_weights(groups: Sequence[Group]) -> list[float]:
    """The share of blocks of each: what train.py gives a file, and for our own what OWN_SHARE leaves them."""
    roots = [sum(map(len, g.texts)) ** 0.5 if g.own else 0.0 for g in groups]
    own = OWN_SHARE / (1 - OWN_SHARE) * sum(g.weight for g in groups) / max(sum(roots), 1.0)
    return [g.weight + own * root for g, root in zip(groups, roots, strict=True)]
