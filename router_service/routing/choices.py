"""Deciding between route names while a model is still spelling one: the shortest answer that is exactly the full one.

The model continues `{"route": "` and a constrained decoder lets it write nothing but one of the configured names and
its closing quote. The quote is part of each choice, so that a name which begins another (`code`, `code review`) is
decided too. With greedy decoding what is written first does not depend on what may follow, so the answer is known as
soon as what has been written fits one choice only.

How many tokens that takes is a guess (`first_guess`): a prefix tree over the names in the served tokenizer's own tokens
tells where each parts from all others. A constrained decoder may spell a name in other tokens, letter by letter at
worst; where the server can hold it to the tokenizer's own (`never_stuck` says when that is safe), the guess is nearly
always right. The written text alone decides (`remaining`); while it fits two choices the question is asked in full.

A branch's probability (`weigh`) is its tokens' share among the tokens that continue any choice: right whether the
server reports log probabilities from before its mask or after it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from router_service.routing.answer import OTHER
from router_service.routing.prompt import Layout

# What a second question costs beside its decoding (a round trip and a step over the cached prompt), in decoding steps.
_SECOND_QUESTION_STEPS = 3
_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
# Servers report masked tokens with a large negative number instead of an infinity, which JSON lacks.
_MASKED_LOGPROB = -1000.0


def prefill(layout: Layout) -> str:
    """The beginning of the assistant's turn, which is the same whatever the answer."""
    return f'{{"route"{layout.key_separator}"'


def spell_choices(names: Iterable[str], layout: Layout) -> Mapping[str, str]:
    """Every continuation of `prefill` that is an answer, by name: names as the prompt spells them, and `other`."""
    return MappingProxyType({name: layout.string(name)[1:] for name in (*names, OTHER)})


def longest_answer_tokens(choices: Mapping[str, str]) -> int:
    """A bound on the tokens of any answer, one a byte and one to end the turn: never reached, always set."""
    return max(len(text.encode()) for text in choices.values()) + 1


def deciding_depths(tokens: Mapping[str, Sequence[int]]) -> Mapping[str, int]:
    """How many of its own tokens tell each name from all the others. `tokens` are those of the choices, by name."""
    passing = Counter(tuple(spelled[:depth]) for spelled in tokens.values() for depth in range(1, len(spelled) + 1))
    return {
        name: next(
            (depth for depth in range(1, len(spelled) + 1) if passing[tuple(spelled[:depth])] == 1), len(spelled)
        )
        for name, spelled in tokens.items()
    }


def first_guess(depths: Iterable[int]) -> int:
    """How many tokens to ask for first: the number that costs fewest decoding steps if all names are equally likely."""
    depths = sorted(depths)

    def steps(guess: int) -> int:
        return sum(guess if depth <= guess else guess + _SECOND_QUESTION_STEPS + depth for depth in depths)

    return min(sorted(set(depths)), key=steps)


def never_stuck(spelled: Collection[Sequence[str]]) -> bool:
    """Whether one who writes any of these texts, a piece after the other and every piece anywhere, can always go on.

    One who may write `x|a` and `ab` in just these pieces can begin with `a`, and has no `b` to end it.
    """
    pieces = {piece for pieces in spelled for piece in pieces if piece}
    whole = {"".join(pieces) for pieces in spelled}
    begun = {text[:length] for text in whole for length in range(len(text) + 1)}
    reached, left = {""}, [""]
    while left:
        written = left.pop()
        further = {written + piece for piece in pieces} & begun
        if not further and written not in whole:
            return False
        left.extend(further - reached)
        reached |= further
    return True


def remaining(written: str, choices: Mapping[str, str]) -> tuple[str, ...]:
    """The names that `written` still fits. A character of which only some bytes are written is not counted."""
    written = written.rstrip(_INCOMPLETE)
    return tuple(name for name, text in choices.items() if text.startswith(written))


@dataclass(frozen=True, slots=True)
class Step:
    """One decoded token: what it adds to the text, and the likeliest tokens of its place with their log probabilities.

    A token that ends inside a character adds nothing for it, or a replacement character; the token that completes the
    character adds it whole, or as a replacement character before what follows.
    """

    text: str
    likeliest: tuple[tuple[str, float], ...]


def weigh(steps: Sequence[Step], decided: str, choices: Mapping[str, str]) -> Mapping[str, float] | None:
    """Each name's probability, as far as the way to the decided one tells; together they are 1.

    Names that were turned down at the same branch share its probability evenly: the model was not asked further.
    None if the log probabilities do not belong to these choices.
    """
    weights = dict.fromkeys(choices, 0.0)
    left = 1.0
    written = ""
    for step in steps:
        open_names = remaining(written, choices)
        if open_names == (decided,):
            break
        branches = [
            (math.exp(logprob), names)
            for text, logprob in step.likeliest
            if logprob > _MASKED_LOGPROB and (names := _continued_by(text, written, open_names, choices))
        ]
        total = sum(probability for probability, _ in branches)
        if decided not in open_names or not total:
            return None
        kept = 0.0
        for probability, names in branches:
            if decided in names:
                kept += probability
                continue
            for name in names:
                weights[name] += left * probability / total / len(names)
        left *= kept / total
        written = _extended(written, step.text, choices[decided])
    weights[decided] = left
    return weights if left > 0 else None


def _continued_by(text: str, written: str, open_names: Sequence[str], choices: Mapping[str, str]) -> tuple[str, ...]:
    """The names a token leads to. One with part of a character leads to all that have one beyond ASCII there."""
    whole, incomplete, rest = text.partition(_INCOMPLETE)
    leading = tuple(name for name in open_names if choices[name].startswith(written + whole))
    if whole and not incomplete:
        return leading
    at = len(written + whole)
    return tuple(
        name for name in leading if not choices[name][at : at + 1].isascii() and choices[name].startswith(rest, at + 1)
    )


def _extended(written: str, text: str, answer: str) -> str:
    """What is written of `answer` after one more token, which may begin or end inside a character."""
    whole, incomplete, rest = text.rpartition(_INCOMPLETE)
    if not incomplete:
        return written + text
    if not rest:
        return written + whole.partition(_INCOMPLETE)[0]
    return answer[: answer.find(rest, len(written)) + len(rest)]
