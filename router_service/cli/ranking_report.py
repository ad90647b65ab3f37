"""How a pool's models were put in order, as `route` and `check` print it: the order, the numbers and their age."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from router_service.routing.catalog import Pool, Target
from router_service.routing.decision import Decision
from router_service.routing.ranking import Moment, Prefer, Standings, rank
from router_service.selection.poller import Poller


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source's last reading is: how long ago it was, and why a later one failed."""

    source: str
    age_s: float | None
    failure: str | None

    def __str__(self) -> str:
        read = "not read" if self.age_s is None else f"read {self.age_s:.0f} s ago"
        return f"{self.source}, {read}" + (f": {self.failure}" if self.failure else "")


@dataclass(frozen=True, slots=True)
class Ranking:
    """The models in the order in which they are tried, each with its number; None where nothing is known of it."""

    prefer: Prefer
    models: Sequence[tuple[str, float | None]]
    readings: Sequence[Reading] = ()

    def as_json(self) -> dict[str, object]:
        unit = {Prefer.CHEAPEST: "price", Prefer.FASTEST: "latency_s"}.get(self.prefer)
        return {
            "prefer": self.prefer,
            "models": [{"model": model, **({unit: number} if unit else {})} for model, number in self.models],
            "sources": [
                {"provider": reading.source, "age_s": reading.age_s, "failure": reading.failure}
                for reading in self.readings
            ],
        }

    def lines(self) -> Iterator[str]:
        """A line a model, then one a source."""
        width = max(len(model) for model, _ in self.models)
        for model, number in self.models:
            yield f"{model:{width}}  {in_words(self.prefer, number)}".rstrip()
        yield from map(str, self.readings)


def explain_ranking(
    decision: Decision, standings: Standings, pollers: Sequence[Poller], *, now_s: float
) -> Ranking | None:
    """None for a decision that nothing was ranked for."""
    if decision.ranked_by is Prefer.NONE:
        return None
    readings = [
        Reading(poller.source.name, None if poller.read_at is None else now_s - poller.read_at, poller.failure)
        for poller in pollers
    ]
    models = [_numbered(target, decision.ranked_by, standings) for target in (decision.target, *decision.behind)]
    return Ranking(decision.ranked_by, models, readings)


def in_turn(pool: Pool, standings: Standings) -> str:
    """A pool in one line, as far as its order is known before there are requests."""
    prefer = pool.policy.prefer
    order = pool.order
    if prefer is Prefer.CHEAPEST:
        order = rank(order, [target.key for target in pool.models], pool.policy, Moment(standings))
    models = [_numbered(pool.models[position], prefer, standings) for position in order]
    match prefer:
        case Prefer.NONE:
            return ", then ".join(model for model, _ in models)
        case Prefer.RANDOM:
            weights = " : ".join(f"{pool.policy.weight(position):g}" for position in pool.order)
            return f"{' or '.join(model for model, _ in models)}, drawn {weights}"
        case Prefer.CHEAPEST | Prefer.FASTEST:
            named = [model if number is None else f"{model} ${number:.4g}" for model, number in models]
            return f"{', then '.join(named)}: {prefer} first"


def in_words(prefer: Prefer, number: float | None) -> str:
    """A price or a latency; nothing for a lot that was drawn."""
    match prefer:
        case Prefer.CHEAPEST:
            return "no price is known" if number is None else f"${number:.4g} per million tokens"
        case Prefer.FASTEST:
            return "not measured" if number is None else f"{number * 1e3:.0f} ms"
        case Prefer.RANDOM | Prefer.NONE:
            return ""


def _numbered(target: Target, prefer: Prefer, standings: Standings) -> tuple[str, float | None]:
    known = {Prefer.CHEAPEST: standings.prices, Prefer.FASTEST: standings.latencies_s}.get(prefer, {})
    return target.model, known.get(target.key)
