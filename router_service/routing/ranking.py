"""In which order the models of a pool are tried: by price, by latency, by lot, or as written.

What is known of the models and the lot that is drawn are values of the `Moment` in which a decision is made; where they
come from is `router_service.selection`'s. Two rules hold for every policy:

- a model of which nothing is known comes after those of which something is, and equals keep the order of the file;
- Envoy has a cluster for every order that can be answered, so there is a bound on how many orders there are (`orders`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import permutations
from types import MappingProxyType

# Positions of a pool's models, in the order in which they are tried.
Order = tuple[int, ...]

# Four models have 24 orders, five would have 120, each a cluster of Envoy's with some 45 KB of its memory (measured,
# with 2,400 of them). In longer pools the policy says which is tried first; the others follow as written.
MOST_PERMUTED = 4


class Prefer(StrEnum):
    """`selection_policy.prefer`; the words are Plano's."""

    NONE = "none"  # as written
    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class SelectionPolicy:
    """`weights` has one number for each model of the pool, in its order; none are all the same."""

    prefer: Prefer = Prefer.NONE
    weights: tuple[float, ...] = ()

    def weight(self, position: int) -> float:
        return self.weights[position] if self.weights else 1.0


AS_WRITTEN = SelectionPolicy()


# A chat reads about three tokens, the conversation so far, for each that it writes; published comparisons of prices
# blend them in the same proportion.
INPUT_TOKENS, OUTPUT_TOKENS = 3, 1


def blended_price(input_price: float, output_price: float) -> float:
    """One price of a model's two, in their unit."""
    return (INPUT_TOKENS * input_price + OUTPUT_TOKENS * output_price) / (INPUT_TOKENS + OUTPUT_TOKENS)


@dataclass(frozen=True, slots=True)
class Standings:
    """What is known of the models, each by its `Target.key`.

    `prices` are US dollars per million tokens (`blended_price`), `latencies_s` seconds to an answer's first byte, if
    their source says so: only which is less matters. `explored` is the share of requests for the fastest model that
    begin with one that has not been measured, where only requests measure.
    """

    prices: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    latencies_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    explored: float = 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What a decision depends on beside the request and the configuration; `draw` is in [0, 1)."""

    standings: Standings = field(default_factory=Standings)
    draw: float = 0.0


def rank(positions: Sequence[int], keys: Sequence[str], policy: SelectionPolicy, moment: Moment) -> Order:
    """The order in which the models at these positions are tried; `keys` are those of the whole pool."""
    standings = moment.standings
    match policy.prefer:
        case Prefer.NONE:
            return tuple(positions)
        case Prefer.CHEAPEST:
            return _bounded(_ascending(positions, keys, standings.prices))
        case Prefer.FASTEST:
            return _bounded(_explore(_ascending(positions, keys, standings.latencies_s), keys, moment))
        case Prefer.RANDOM:
            return _bounded(_by_lot(positions, policy, moment.draw))


def orders(positions: Sequence[int], policy: SelectionPolicy) -> tuple[Order, ...]:
    """Every order that `rank` may answer for these positions."""
    if policy.prefer is Prefer.NONE:
        return (tuple(positions),)
    if len(positions) <= MOST_PERMUTED:
        return tuple(permutations(positions))
    return tuple(_beginning_with(first, positions) for first in positions)


def _bounded(order: Sequence[int]) -> Order:
    return tuple(order) if len(order) <= MOST_PERMUTED else _beginning_with(order[0], sorted(order))


def _beginning_with(first: int, positions: Sequence[int]) -> Order:
    return (first, *(position for position in positions if position != first))


def _ascending(positions: Sequence[int], keys: Sequence[str], known: Mapping[str, float]) -> list[int]:
    last = float("inf")
    return sorted(positions, key=lambda position: known.get(keys[position], last))


def _explore(order: list[int], keys: Sequence[str], moment: Moment) -> Sequence[int]:
    """Now and then one that was not measured first: without a request it never would be."""
    standings = moment.standings
    unmeasured = [position for position in order if keys[position] not in standings.latencies_s]
    if not unmeasured or moment.draw >= standings.explored:
        return order
    return _beginning_with(unmeasured[int(moment.draw / standings.explored * len(unmeasured))], order)


def _by_lot(positions: Sequence[int], policy: SelectionPolicy, draw: float) -> list[int]:
    """One number draws the whole order: what is left of it after each model, spread over [0, 1) again, draws the next.

    Models of weight 0 are drawn last, as written.
    """
    left, order = list(positions), []
    while (total := sum(map(policy.weight, left))) > 0:
        point = draw * total
        weighted = [position for position in left if policy.weight(position) > 0]
        for drawn in weighted:
            if point < policy.weight(drawn) or drawn == weighted[-1]:
                break
            point -= policy.weight(drawn)
        draw = min(point / policy.weight(drawn), 1.0)
        order.append(drawn)
        left.remove(drawn)
    return [*order, *left]
