"""What Envoy counted, and what it says about the last minutes."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.selection.envoy import LEAST_ANSWERS, WINDOW_S, Bins, Window, median_s, read_totals

# As Envoy 1.40 answers /stats?format=json&histogram_buckets=detailed, less what is not read.
ANSWER = b"""{"stats":[{"histograms":{"supported_percentiles":[0,50,100],"details":[
{"name":"router.first_byte_ms.model.a.b/x.1:2","totals":[{"lower_bound":200,"width":10,"count":2}],"intervals":[],
"percentiles":[{"cumulative":203.3,"interval":null}]},
{"name":"cluster.model/c.upstream_rq_time","totals":[{"lower_bound":3,"width":0.1,"count":1}]},
{"name":"router.first_byte_ms.model.c/y","totals":[],"intervals":[]}]}}]}"""


def at(ms: float, count: int) -> Bins:
    return {(ms, 0.0): count}


def test_totals_are_read_by_model_and_other_statistics_left_alone() -> None:
    assert read_totals(ANSWER) == {"a.b/x.1:2": {(200, 10): 2}, "c/y": {}}
    assert read_totals(b'{"stats":[]}') == {}


# Whatever answers at that address: counts, or a DecodeError.
@given(st.binary() | st.integers().map(lambda count: ANSWER.replace(b"2}", b"%d}" % count)))
def test_whatever_is_answered_is_counts_or_an_error(body: bytes) -> None:
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        assert all(isinstance(count, int) for bins in read_totals(body).values() for count in bins.values())


@pytest.mark.parametrize(
    ("bins", "expected_s"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param(at(100, LEAST_ANSWERS - 1), None, id="too few"),
        pytest.param(at(100, LEAST_ANSWERS), 0.1, id="just enough"),
        pytest.param({(100, 10): 2, (200, 10): 2}, 0.11, id="the end of the lower half"),
        pytest.param({(100, 100): 10}, 0.15, id="the middle of a bin"),
        pytest.param({(10, 1): 1, (100, 10): 8, (5000, 100): 1}, 0.105, id="what is far off does not count"),
    ],
)
def test_the_median_is_found_in_its_bin(bins: Bins, expected_s: float | None) -> None:
    assert median_s(bins) == (None if expected_s is None else pytest.approx(expected_s))


# However answers fall into bins, at most half of them are faster and at most half slower than the median's bin.
@given(st.dictionaries(st.integers(0, 50).map(lambda bin_: (bin_ * 10.0, 10.0)), st.integers(1, 9), min_size=1))
def test_half_of_the_answers_are_on_each_side_of_the_median(bins: Bins) -> None:
    median = median_s(bins)
    answers = Counter(bins).total()
    if median is None:
        assert answers < LEAST_ANSWERS
        return
    assert sum(count for (lower, _), count in bins.items() if lower >= median * 1e3 + 1e-6) <= answers / 2
    assert sum(count for (lower, width), count in bins.items() if lower + width <= median * 1e3 - 1e-6) <= answers / 2


def test_until_the_window_is_full_everything_counts() -> None:
    window = Window()
    assert window.add({"m": at(100, 9)}, 0.0) == {"m": 0.1}
    assert window.add({"m": {**at(100, 9), **at(300, 30)}}, 10.0) == {"m": 0.3}


def test_what_is_older_than_the_window_is_forgotten() -> None:
    window = Window()
    window.add({"m": at(100, 100)}, 0.0)
    assert window.add({"m": at(100, 100)}, WINDOW_S - 1) == {"m": 0.1}
    assert window.add({"m": at(100, 100)}, WINDOW_S + 1) == {}
    assert window.add({"m": {**at(100, 100), **at(300, 3)}}, WINDOW_S + 2) == {"m": 0.3}


def test_an_envoy_that_started_anew_is_measured_anew() -> None:
    window = Window()
    window.add({"m": at(100, 100), "n": at(10, 5)}, 0.0)
    window.add({"m": at(100, 110), "n": at(10, 5)}, WINDOW_S + 1)
    assert window.add({"m": at(300, 3)}, WINDOW_S + 11) == {"m": 0.3}
