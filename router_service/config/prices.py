"""A file of prices: what each model costs, in US dollars per million tokens.

    openai/gpt-5.2: {input: 1.75, output: 14}
    vllm/qwen: 0                                   one number where there is only one price

YAML, and so JSON. A model is named as in `model_providers`: by `provider/id`, or by the entry's name. Models that the
configuration does not have are left alone, so that one file serves many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from router_service.config.document import Node, parse
from router_service.errors import Problem
from router_service.routing.ranking import blended_price

_KEYS = frozenset({"input", "output"})
_TODO = "write it like {input: 1.75, output: 14}: US dollars per million tokens"


def parse_prices(text: str) -> tuple[Mapping[str, float], list[Problem]]:
    """The blended price of each model, and every mistake of the file with its line."""
    root, problems = parse(text)
    if root is None or root.value in (None, {}):
        return {}, problems or [Problem("", "has no prices", "write one line a model: NAME: {input: 1.75, output: 14}")]
    if not isinstance(root.value, Mapping):
        return {}, [*problems, Problem("", "is not a mapping of models", _TODO, root.line)]
    prices = {}
    for name, node in root.entries.items():
        price, found = _price(node)
        problems += found
        if price is not None:
            prices[name] = price
    return prices, problems


def _price(node: Node) -> tuple[float | None, list[Problem]]:
    if not isinstance(node.value, Mapping):
        alone = _number(node)
        return (alone, []) if alone is not None else (None, [_problem(node, "is not a price")])
    unknown = [_problem(entry, "is not known") for key, entry in node.entries.items() if key not in _KEYS]
    missing = [_problem(node, f"has no {key} price") for key in sorted(_KEYS) if key not in node.entries]
    numbers = {key: _number(entry) for key, entry in node.entries.items() if key in _KEYS}
    wrong = [_problem(node.entries[key], "is not a price") for key, number in numbers.items() if number is None]
    input_price, output_price = numbers.get("input"), numbers.get("output")
    if unknown or missing or wrong or input_price is None or output_price is None:
        return None, [*unknown, *missing, *wrong]
    return blended_price(input_price, output_price), []


def _number(node: Node) -> float | None:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return None
    return float(node.value) if node.value >= 0 and math.isfinite(node.value) else None


def _problem(node: Node, what: str) -> Problem:
    return Problem(node.path, what, _TODO, node.line)
