"""How well each preference fits a text: the embedded classifier's judgement, without the encoder.

Owns everything that decides quality for one text: which texts stand for a preference (`parts`), how vectors become one
score per preference (`Routes.scores`) and how scores become an answer (`judge`). What earlier turns of a conversation
add is `follow`. Never encodes anything: vectors come from `classify.encoder`, all of length one, so a product is a
cosine.

A score is 0.25 of the whole `name: description` plus 0.75 of the mean of the best two parts. A user asks for one thing
of the several that a description lists, so the best parts say more than the whole, which blurs them; two of them, so
that one unlucky word does not decide. Where a preference has examples, half of its score is the nearness to a
prototype: between the whole line and the mean of the examples. Examples are also parts, but one of five that happens to
be worded alike says less than what all have in common. The constants are in `Weights`, `Thresholds` and `Calibration`,
with how they were found. Measured with the built-in encoder on the validation part of CLINC150 (Larson et al. 2019;
3,000 utterances): 87.0 % right among ten domains, 86.1 % among 150 intents, 91.6 % with five examples for each intent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from router_service.routing.catalog import Preference
from router_service.routing.decision import Reason

Vector = npt.NDArray[np.float32]
Embed = Callable[[str], Vector]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the encoder says of one text.

    `opening` is the probability that the text, as a turn of a conversation, asks for something new and does not go on
    with what came before ("yes, the second one"). None where the model has no such output.
    """

    vector: Vector
    opening: float | None = None


# Requests say what they want first or last; what is pasted between them is rarely about the task.
END_WORDS = 100
# The same bound for text without spaces (Chinese, base64): a hundred words and more of any language that has them.
END_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Weights:
    """What a score is made of."""

    whole: float = 0.25
    best_parts: int = 2
    prototype: float = 0.5  # of the score of a preference with examples; without examples there is none


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a preference is good enough to be named.

    `score` and `margin` decide together: a best score below `score` is no route, unless it leads the second by
    `margin`. `confidence` is router.min_confidence. Right answers refused, and texts of no route refused, in percent:

        score, margin   CLINC150, 10 domains   CLINC150, 150 intents   the shipped cases, single turns
        0.19, 0.15           0.1   25               0.0   11                  0.0   56
        0.23, 0.15           0.8   49               0.0   31                  0.0   82
        0.25, 0.15           1.5   61               0.0   40                  0.5   89

    With 0.25, 5.4 % of the questions of fourteen subjects that would be answered right are refused, with 0.23 2.7 %: a
    preference that is never found is worse than one that is found too often. Scores are less what is usual
    (`backdrop.Backdrop.usual`).
    """

    score: float = 0.23
    margin: float = 0.15
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidence, the probability that the best preference is the right one, as a logistic function of its lead.

    Fitted on CLINC150's validation part (domains, intents, and intents with examples; one case in five out of scope,
    where no answer is right). Mean distance between confidence and the share of right answers: 0.03 there, 0.07 on
    the shipped cases. The score itself, as a second variable, made it worse on lists of other sizes.
    """

    base: float = -1.34
    lead: float = 24.1

    def confidence(self, lead: float) -> float:
        return 1 / (1 + math.exp(-(self.base + self.lead * lead)))


WEIGHTS = Weights()
CALIBRATION = Calibration()


def shorten(text: str) -> str:
    """The first and the last hundred words of a long text; a short one as it is.

    A word is what stands between blanks. Each end is at most `END_CHARS` long, and only a word that is longer than
    that is ever cut.
    """
    text = text.strip()
    if len(text) <= 2 * END_CHARS and len(text.split()) <= 2 * END_WORDS:
        return text
    return f"{_head(text)} {_tail(text)}"


def _head(text: str) -> str:
    window = text[: END_CHARS + 1]
    words = window.split()
    if len(window) > END_CHARS and not window[-1].isspace() and len(words) > 1:
        words.pop()  # it may go on behind the window
    return " ".join(words[:END_WORDS])[:END_CHARS]


def _tail(text: str) -> str:
    window = text[-END_CHARS - 1 :]
    words = window.split()
    if len(window) > END_CHARS and not window[0].isspace() and len(words) > 1:
        words.pop(0)  # it may begin before the window
    return " ".join(words[-END_WORDS:])[-END_CHARS:]


# Commas (not in 1,000), semicolons, line ends and full stops; then their East Asian forms.
_SEPARATOR = re.compile(r"(?<!\d),|,(?!\d)|[;\n]|\.(?=\s+[A-Z])|[\uff0c\u3001\uff1b\u3002]")
_CONJUNCTION = re.compile(r"(?:^|\s+)(?:and/or|and|or)\s+", re.IGNORECASE)
_AROUND = " \t\r\n.:-*•"


def clauses(description: str) -> tuple[str, ...]:
    """The things a description lists.

    The rule: a description with a separator (comma, semicolon, line end, full stop) is a list, and a list is split at
    its separators and at `and` and `or`. Any other description is one clause: "placing and lifting a freeze" is not a
    list, and its halves would mean something else.
    """
    pieces = [piece for piece in (piece.strip(_AROUND) for piece in _SEPARATOR.split(description)) if piece]
    if len(pieces) > 1:
        pieces = [part.strip(_AROUND) for piece in pieces for part in _CONJUNCTION.split(piece)]
    return _distinct(piece for piece in pieces if any(character.isalnum() for character in piece))


def whole(preference: Preference) -> str:
    return f"{_spoken(preference.name)}: {preference.description}"


def parts(preference: Preference) -> tuple[str, ...]:
    """What stands for one facet of a preference each: its name, the clauses of its description, its examples."""
    return _distinct((_spoken(preference.name), *clauses(preference.description), *examples(preference)))


def examples(preference: Preference) -> tuple[str, ...]:
    return tuple(shorten(example) for example in preference.examples if example.strip())


def _spoken(name: str) -> str:
    """`code_generation` and `code-generation` as a person would say them."""
    return re.sub(r"[_-]+", " ", name).strip()


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """Without repetitions, upper and lower case being the same; the first of each stays."""
    first: dict[str, str] = {}
    for text in texts:
        first.setdefault(text.casefold(), text)
    return tuple(first.values())


@dataclass(frozen=True, slots=True)
class Routes:
    """A configuration's preferences as vectors. Made by `embed_routes`, never changed.

    `wholes` is (preferences, dimension), `parts` is (all parts, dimension). `slots` is (preferences, most parts of
    one): the rows of `parts` that belong to each, filled up with the row behind the last, which scores minus infinity.
    `prototypes` is (preferences, dimension), and `shares` is what they count for: 0 for a preference without examples.
    """

    wholes: Vector
    parts: Vector
    prototypes: Vector
    shares: Vector
    slots: npt.NDArray[np.intp]
    weights: Weights

    def scores(self, text: Vector) -> Vector:
        """One score per preference, in configuration order."""
        # Row by row and not as one product, which BLAS may spread over threads: they compete, and round differently.
        each_whole = np.vecdot(self.wholes, text)
        each_part = np.append(np.vecdot(self.parts, text), -np.inf)[self.slots]
        best = np.sort(each_part, axis=1)[:, -self.weights.best_parts :].mean(axis=1)
        described = self.weights.whole * each_whole + (1 - self.weights.whole) * best
        shown = np.vecdot(self.prototypes, text)
        scores: Vector = ((1 - self.shares) * described + self.shares * shown).astype(np.float32)
        return scores


def embed_routes(preferences: Sequence[Preference], embed: Embed, weights: Weights = WEIGHTS) -> Routes:
    """Encode everything that stands for the preferences, each text once; `preferences` is not empty."""
    vectors: dict[str, Vector] = {}

    def vector(text: str) -> Vector:
        if text not in vectors:
            vectors[text] = embed(text)
        return vectors[text]

    rows: list[list[Vector]] = []
    prototypes: list[Vector] = []
    for preference in preferences:
        own = [vector(text) for text in parts(preference)]
        missing = weights.best_parts - len(own)
        rows.append(own + own[-1:] * missing)
        prototypes.append(_prototype(vector(whole(preference)), [vector(text) for text in examples(preference)]))
    flat = [row for own in rows for row in own]
    slots = np.full((len(rows), max(map(len, rows))), len(flat), dtype=np.intp)
    position = 0
    for route, own in enumerate(rows):
        slots[route, : len(own)] = range(position, position + len(own))
        position += len(own)
    return Routes(
        wholes=np.stack([vector(whole(preference)) for preference in preferences]),
        parts=np.stack(flat),
        prototypes=np.stack(prototypes),
        shares=np.array([weights.prototype if examples(preference) else 0 for preference in preferences], np.float32),
        slots=slots,
        weights=weights,
    )


def _prototype(line: Vector, shown: Sequence[Vector]) -> Vector:
    """Half the whole line, half the mean of the examples, of length one."""
    middle = line + _unit(np.mean(shown, axis=0)) if shown else line
    return _unit(middle)


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length > 0 else vector


@dataclass(frozen=True, slots=True)
class Verdict:
    """`best` is the position of the highest score, whatever the reason; MATCHED names it."""

    reason: Reason
    best: int
    confidence: float


def judge(scores: Vector, thresholds: Thresholds, calibration: Calibration = CALIBRATION) -> Verdict:
    """What the scores of one text say. Of equals the first is best; a preference that is alone leads the threshold."""
    best = int(np.argmax(scores))
    score = float(scores[best])
    second = float(np.partition(scores, -2)[-2]) if len(scores) > 1 else thresholds.score
    lead = score - second
    confidence = calibration.confidence(lead)
    if score < thresholds.score and lead < thresholds.margin:
        return Verdict(Reason.NO_ROUTE, best, confidence)
    if confidence < thresholds.confidence:
        return Verdict(Reason.LOW_CONFIDENCE, best, confidence)
    return Verdict(Reason.MATCHED, best, confidence)
