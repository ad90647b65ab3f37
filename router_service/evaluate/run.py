"""The part that awaits: asks a classifier about every case, one after the other.

One at a time on purpose: the latencies are then those of a request that does not queue behind another, and turns of one
conversation find what their earlier turns left in a cache, as they do in service.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from router_service.classify import Classifier
from router_service.evaluate.cases import Case
from router_service.evaluate.outcome import Outcome


async def classify_cases(
    classifier: Classifier, cases: Sequence[Case], *, clock: Callable[[], float], on_case: Callable[[], None]
) -> tuple[Outcome, ...]:
    """An outcome per case, in order. `clock` is in seconds; `on_case` is called after each."""
    outcomes = []
    for case in cases:
        began = clock()
        classification = await classifier.classify(case.turns)
        outcomes.append(Outcome(case, classification, clock() - began))
        on_case()
    return tuple(outcomes)
