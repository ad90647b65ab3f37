"""Which route a conversation is on: its own user turns, judged one after the other.

"Yes, that works" carries no topic, so the route of the turn before is a prior. Every request carries its whole
conversation: the prior is found again from the turns themselves. Nothing is remembered between requests, and every
replica gives the same answer. Owns which turns are read (`heard`) and what one does to the next (`follow`); how well a
single text fits is `scoring`.

From all scores of a turn a quarter of its nearness to the nearest of `backdrop.TOPICS` is taken: a question about
tulips is a little like any list of routes, and much more like gardening. That changes no order, only what is near
enough to be a route: with as many right answers refused, more of the texts of no route are found.

A first turn that only greets or thanks asks for nothing and is no route: it is much closer to `GREETINGS` than to any
route. (Where a preference is for small talk, greetings are like any text.) A turn after the first is judged by
1. its scores, 0.7 from the turn alone and 0.3 from its vector with a quarter of the previous turn's vector added;
2. a head start for the route of the turn before, the greater the less the turn looks like a new request: a long turn
   names its topic ("now write to the customer that …"), a short one relies on what was said, and where the encoder
   tells `opening`, that counts more. Telling new requests apart, AUROC on SGD dev and the shipped conversations:
   length 0.80 and 0.95, `opening` 0.89 and 0.94, both together 0.88 and 0.95;
3. `ENDINGS`: a turn that is much closer to these than to any route, and closer than to `CONTINUATIONS`, asks for
   nothing and is no route. It leaves the route to the turn behind it. A bare "thanks" is none of them: the model that
   is thanked may as well answer.

A head start must mean the same for encoders whose scores spread differently, so it is written in units of the
calibration: one unit is the lead that makes a preference e times as likely. The constants are in `Prior`.

Measured with the built-in encoder in percent, on SGD dev (Rastogi et al. 2020; turns, spans, conversations right, every
label counted) and on the shipped conversations:

    newest turn alone                  51.8  32.9   0.0      64.5  44.4   7.3
    followed                           89.9  83.0  56.5      78.0  65.8  22.0
    turns that have a route            90.4  83.5  65.0      89.9  85.5  70.7

Encoding the previous and the current turn as one text, in place of adding their vectors, did up to five points better
on whole conversations in some settings, and takes a second run of the encoder. Carrying all scores of the previous
turn instead of its route did worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from router_service.routing.backdrop import Backdrop
from router_service.routing.conversation import Conversation
from router_service.routing.decision import Reason
from router_service.routing.scoring import (
    CALIBRATION,
    Calibration,
    Encoded,
    Routes,
    Thresholds,
    Vector,
    Verdict,
    judge,
    shorten,
)

# More change no figure of the table above by more than 0.2.
MOST_TURNS = 8
# Of the turns before the newest two, together: about 600 words, or 60 ms of encoding where none is in a cache.
MOST_EARLIER_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class Prior:
    """What a turn inherits. `hold` and `ending` are in units of the calibration.

    Chosen on SGD dev and the shipped conversations together: hold 7 to 9, opening_bytes 120 to 260, opening_share 0.5
    to 0.9 and ending 7 to 9 move turns by half a point on SGD and up to two on the shipped conversations.
    """

    hold: float = 8.5  # head start of the previous turn's route where the turn surely goes on with it
    ending: float = 8.0  # lead of the endings, or greetings, over the best route from which nothing is asked
    opening_share: float = 0.7  # of what the encoder says of an opening, where it does; the rest is the length's
    opening_bytes: int = 180  # a turn of this length has a topic of its own; bytes, so that 汉字 count as words do
    echo: float = 0.25  # of the previous turn's vector, added to the turn's own
    echo_share: float = 0.3  # of the score with that echo


PRIOR = Prior()


@dataclass(frozen=True, slots=True)
class UserTurn:
    """`text_bytes` is the length of what was encoded, in UTF-8."""

    encoded: Encoded
    text_bytes: int


@dataclass(frozen=True, slots=True)
class Judged:
    """One turn's answer.

    `scores` are what was judged, the head start included. `previous` is the position of the preference that had
    `head_start`, None where the turns before left none. With `ended` nothing is asked: no route, and no head start.
    """

    verdict: Verdict
    scores: Vector
    previous: int | None = None
    head_start: float = 0.0
    ended: bool = False

    @property
    def route(self) -> int | None:
        """What the next turn is held to."""
        if self.ended:
            return self.previous
        return self.verdict.best if self.verdict.reason is Reason.MATCHED else None


@dataclass(frozen=True, slots=True)
class Scored:
    """One turn before it is judged: `alone` and `echoed` have a score per preference, the same ones for a first turn.

    `nothing` is how much it sounds like asking for nothing, to be compared with `alone`.
    """

    alone: Vector
    echoed: Vector
    nothing: float
    opening: float


@dataclass(frozen=True, slots=True)
class Rules:
    """How scores become answers. `offsets` are added to the scores, one per preference, or nothing."""

    thresholds: Thresholds
    prior: Prior = PRIOR
    calibration: Calibration = CALIBRATION
    offsets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Judge:
    """One configuration's way of judging conversations."""

    routes: Routes
    backdrop: Backdrop
    rules: Rules

    def follow(self, turns: Sequence[UserTurn]) -> Judged:
        """The newest of the turns, given those before it, oldest first. At least one."""
        pairs = zip((None, *turns), turns, strict=False)
        return replay(
            [score(before, turn, self.routes, self.backdrop, self.rules.prior) for before, turn in pairs], self.rules
        )


def score(before: UserTurn | None, turn: UserTurn, routes: Routes, backdrop: Backdrop, prior: Prior = PRIOR) -> Scored:
    """A turn behind another, or the first."""
    vector = turn.encoded.vector
    usual = backdrop.usual(vector)
    alone = routes.scores(vector) - usual
    if before is None:
        return Scored(alone, alone, backdrop.greeting(vector) - usual, opening(turn, prior))
    echoing = vector + prior.echo * before.encoded.vector
    echoing /= np.linalg.norm(echoing)
    echoed = routes.scores(echoing) - backdrop.usual(echoing)
    return Scored(alone, echoed, backdrop.ending(vector) - usual, opening(turn, prior))


def replay(turns: Sequence[Scored], rules: Rules) -> Judged:
    """The newest of the turns, given those before it, oldest first. At least one."""
    first, *others = turns
    judged = judge_next(None, first, rules)
    for turn in others:
        judged = judge_next(judged.route, turn, rules)
    return judged


def judge_next(previous: int | None, turn: Scored, rules: Rules) -> Judged:
    """A turn behind one that left the conversation on the route `previous`; None: on none, or this is the first."""
    prior, unit = rules.prior, 1 / rules.calibration.lead
    if turn.nothing - turn.alone.max() > prior.ending * unit:
        scores = _offset(turn.alone, rules)
        verdict = judge(scores, rules.thresholds, rules.calibration)
        return Judged(Verdict(Reason.NO_ROUTE, verdict.best, verdict.confidence), scores, previous, ended=True)
    scores = _offset((1 - prior.echo_share) * turn.alone + prior.echo_share * turn.echoed, rules)
    head_start = 0.0 if previous is None else prior.hold * unit * (1 - turn.opening)
    if previous is not None:
        scores[previous] += head_start
    return Judged(judge(scores, rules.thresholds, rules.calibration), scores, previous, head_start)


def _offset(scores: Vector, rules: Rules) -> Vector:
    """A copy, with what fitting found that a preference is over- or underrated by."""
    return scores + np.asarray(rules.offsets, np.float32) if rules.offsets else scores.copy()


def opening(turn: UserTurn, prior: Prior = PRIOR) -> float:
    """How much a turn looks like a new request, from 0 to 1."""
    by_length = min(1.0, turn.text_bytes / prior.opening_bytes)
    if turn.encoded.opening is None:
        return by_length
    return prior.opening_share * turn.encoded.opening + (1 - prior.opening_share) * by_length


def heard(conversation: Conversation) -> tuple[str, ...]:
    """The texts of the user's turns that are read, oldest first, the one that is routed last; each shortened.

    The newest two whatever their length, and of those before them as many as MOST_TURNS and MOST_EARLIER_BYTES allow,
    newest first: a function of the conversation alone, so that no cache changes an answer. Empty without user text.
    """
    texts: list[str] = []
    earlier_bytes = 0
    for turn in reversed(conversation.turns):
        if turn.role != "user" or not turn.content.strip():
            continue
        text = shorten(turn.content)
        if len(texts) >= 2:
            earlier_bytes += byte_length(text)
        if len(texts) == MOST_TURNS or earlier_bytes > MOST_EARLIER_BYTES:
            break
        texts.append(text)
    return tuple(reversed(texts))


def byte_length(text: str) -> int:
    """In UTF-8; a body may bring half a surrogate pair."""
    return len(text.encode("utf-8", "surrogatepass"))
