"""The score of a text against a route, as the embedded classifier computes it in production.

A route is one line, `name: description`. Its score for a text is 0.25 of the cosine with the whole line and 0.75 of the
mean cosine with the best two parts. The parts are the clauses of the description, each alone and each after the name:
long descriptions list what they cover, a text is about one or two of those things, and the whole line's vector is an
average that no text is close to; the name tells clauses of one wording apart (`card: how to cancel`).

Examples of a route are parts as well. Then the score is averaged with the cosine to one prototype: half the whole line,
half the examples' mean.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WHOLE_SHARE = 0.25
BEST_PARTS = 2
PROTOTYPE_SHARE, PROTOTYPE_WHOLE = 0.5, 0.5

Matrix = NDArray[np.float32]
_SEPARATOR = re.compile(r"(?<!\d),|,(?!\d)|[;\n]|\.(?=\s+[A-Z])")
_CONJUNCTION = re.compile(r"(?:^|\s+)(?:and/or|and|or|&)\s+", re.IGNORECASE)
_AROUND = " \t\r\n.:-*"


@dataclass(frozen=True)
class Route:
    name: str
    description: str
    examples: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.name.replace("_", " ").replace("-", " ")

    @property
    def whole(self) -> str:
        return f"{self.label}: {self.description}"

    @property
    def parts(self) -> list[str]:
        return list(dict.fromkeys([self.label, *clauses(self.description), *self.examples]))


def clauses(description: str) -> list[str]:
    """The parts of a list: what stands between commas, semicolons, line ends, full stops, and the words `and`, `or`.

    A description without any such separator is no list and stays whole, whatever `and` it has.
    """
    pieces = [p for p in (p.strip(_AROUND) for p in _SEPARATOR.split(description)) if p]
    if len(pieces) > 1:
        pieces = [q.strip(_AROUND) for p in pieces for q in _CONJUNCTION.split(p)]
    return list(dict.fromkeys(p for p in pieces if any(c.isalnum() for c in p))) or [description]


@dataclass(frozen=True)
class RouteVectors:
    whole: Matrix  # [384]
    parts: Matrix  # [parts, 384]
    examples: Matrix  # [examples, 384], may be empty


def scores(texts: Matrix, routes: Sequence[RouteVectors]) -> Matrix:
    """Unit vectors [texts, 384] -> [texts, routes]."""
    return np.stack([_score(texts, route) for route in routes], axis=1).astype(np.float32)


def _score(texts: Matrix, route: RouteVectors) -> Matrix:
    cosines = texts @ route.parts.T
    best = min(BEST_PARTS, cosines.shape[1])
    top = np.partition(cosines, cosines.shape[1] - best, axis=1)[:, -best:].mean(1)
    score: Matrix = WHOLE_SHARE * (texts @ route.whole) + (1 - WHOLE_SHARE) * top
    if not len(route.examples):
        return score
    prototype = PROTOTYPE_WHOLE * route.whole + (1 - PROTOTYPE_WHOLE) * _unit(route.examples.mean(0))
    return (1 - PROTOTYPE_SHARE) * score + PROTOTYPE_SHARE * (texts @ _unit(prototype))


def _unit(vector: Matrix) -> Matrix:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)
