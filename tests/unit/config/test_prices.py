"""A file of prices, read."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router_service.config.prices import parse_prices


@pytest.mark.parametrize(
    ("text", "prices"),
    [
        pytest.param("openai/gpt-5: {input: 1, output: 5}", {"openai/gpt-5": 2.0}, id="two prices"),
        pytest.param("vllm/qwen: 0", {"vllm/qwen": 0.0}, id="one price"),
        pytest.param('{"a/b": {"input": 1, "output": 1}, "c/d": 2}', {"a/b": 1.0, "c/d": 2.0}, id="JSON"),
        pytest.param("a/b: 1\na/c: cheap", {"a/b": 1.0}, id="a mistake beside a price"),
    ],
)
def test_a_model_has_its_blended_price(text: str, prices: dict[str, float]) -> None:
    assert parse_prices(text)[0] == prices


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("a/b: 1\nc/d: {input: 1}", [(2, "has no output price")], id="half"),
        pytest.param("a/b: {input: x, output: y}", [(1, "is not a price"), (1, "is not a price")], id="texts"),
        pytest.param("a/b: .inf", [(1, "is not a price")], id="infinite"),
        pytest.param("a/b: -0.1", [(1, "is not a price")], id="negative"),
        pytest.param("a/b: true", [(1, "is not a price")], id="true"),
        pytest.param("a/b:\n  input: 1\n  output: 2\n  cached: 3", [(4, "is not known")], id="another key"),
        pytest.param("- a", [(1, "is not a mapping of models")], id="a list"),
        pytest.param("a: 1\na: 2", [(2, "is already set in line 1")], id="twice"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, said: list[tuple[int, str]]) -> None:
    assert [(problem.line, problem.what) for problem in parse_prices(text)[1]] == said


# Whatever stands in the file: prices that can be compared, or a problem that says why there is none.
@example("{}")
@given(st.text() | st.text(alphabet="ab/: {}[],.-'\"\n0123456789inputo#&*!|>"))
def test_whatever_stands_in_it_is_prices_or_problems(text: str) -> None:
    prices, problems = parse_prices(text)
    assert all(math.isfinite(price) and price >= 0 for price in prices.values())
    assert prices or problems
