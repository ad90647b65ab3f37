"""The answer of Prometheus to an instant query."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.selection.prometheus import read_vector


def answer(*samples: tuple[dict[str, str], str]) -> bytes:
    result = [{"metric": metric, "value": [1764028800.123, value]} for metric, value in samples]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def test_each_model_has_the_number_of_its_label() -> None:
    body = answer(({"model_name": "openai/gpt-5", "le": "x"}, "0.85"), ({"model_name": "groq/llama"}, "1e-1"))
    assert read_vector(body, "model_name") == {"openai/gpt-5": 0.85, "groq/llama": 0.1}


def test_what_is_no_number_or_of_no_model_says_nothing() -> None:
    body = answer(({"model": "a"}, "NaN"), ({"model": "b"}, "+Inf"), ({"job": "c"}, "1"), ({"model": "d"}, "2"))
    assert read_vector(body, "model") == {"d": 2.0}


@given(
    st.binary()
    | st.lists(st.tuples(st.text(), st.text())).map(lambda pairs: answer(*(({"m": a}, b) for a, b in pairs)))
)
def test_whatever_is_answered_is_finite_numbers_or_an_error(body: bytes) -> None:
    try:
        numbers = read_vector(body, "m")
    except ValueError:
        return
    assert all(math.isfinite(number) for number in numbers.values())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"<html>", id="not JSON"),
        pytest.param(b'{"status":"error","errorType":"bad_data","error":"parse error"}', id="an error"),
        pytest.param(b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}', id="a scalar"),
        pytest.param(answer(({"model": "a"}, "fast")), id="a value that is no number"),
        pytest.param(b"\xff", id="not UTF-8"),
    ],
)
def test_another_answer_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's, unicode's and float's own
        read_vector(body, "model")
