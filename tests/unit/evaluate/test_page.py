from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.evaluate.measure import Measurement, measure
from router_service.evaluate.outcome import Outcome
from router_service.evaluate.page import render
from router_service.routing.decision import Reason
from tests.unit.evaluate.builders import answer, case, outcomes, small

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Checker(HTMLParser):
    """Every element that is opened is closed, in order; what is loaded from elsewhere is collected."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.foreign: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"script", "link", "img", "iframe", "object", "embed", "use", "image"}:
            self.foreign.append(tag)
        self.foreign += [
            name for name, _ in attrs if name in {"src", "href", "xlink:href", "style"} or name[:2] == "on"
        ]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<rect …/>`: opened and closed."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def check(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ElementTree.fromstring(svg)  # noqa: S314 - our own output
    return checker


@pytest.mark.parametrize(
    "measurements",
    [
        pytest.param([small()], id="one backend"),
        pytest.param([small(), small("vllm", flip=True)], id="two backends"),
        pytest.param([measure("embedded", outcomes([(None, "a")]), ("a",))], id="no labels"),
        pytest.param([measure("embedded", outcomes([("a", Reason.TIMEOUT)]), ("a",))], id="nothing answered"),
    ],
)
def test_the_page_is_well_formed_and_loads_nothing(measurements: list[Measurement]) -> None:
    page = render(measurements)
    assert check(page).foreign == []
    assert not re.search(r"url\(|@import|https?:", page)


def test_the_page_shows_the_figures_the_advice_and_the_wrong_cases() -> None:
    text = " ".join(check(render([small(), small("vllm", flip=True)])).text)
    for expected in ("60.0%", "66.7%", "overlap", "single-3", "k1-2", "vllm against embedded: +6.7 points", "p95"):
        assert expected in text


def test_a_large_set_of_routes_is_cut_in_plots_and_whole_in_tables() -> None:
    names = [f"route {number}" for number in range(100)]
    page = render([measure("embedded", outcomes([(name, names[0]) for name in names]), names)])
    checker = check(page)
    assert "The plot shows the 50 routes with the lowest F1; the table has all." in checker.text
    assert "Labels against answers" not in page
    assert sum(text == "route 99" for text in checker.text) >= 2


hostile = st.text(st.sampled_from("<>&\"'`ab ü\n😀"), min_size=1, max_size=12)


@given(st.data())
def test_no_text_of_a_case_or_route_becomes_markup(data: st.DataObject) -> None:
    # Whatever names, ids, texts, scores and confidences are: the page stays well-formed and free of foreign elements.
    routes = data.draw(st.lists(hostile, min_size=1, max_size=4, unique=True))
    labels = st.sampled_from([*routes, "other"])
    scores = st.floats(-2, 2)
    found = [
        Outcome(
            case(data.draw(labels | st.none()), id=data.draw(hostile), text=data.draw(hostile), conversation="k"),
            answer(
                data.draw(labels | st.just(Reason.TIMEOUT)),
                confidence=data.draw(st.floats(0, 1) | st.none()),
                scores=dict.fromkeys(routes, data.draw(scores)),
            ),
            data.draw(st.floats(0, 10)),
        )
        for _ in range(data.draw(st.integers(1, 4)))
    ]
    assert check(render([measure("embedded", found, routes)])).foreign == []
