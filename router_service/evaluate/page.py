"""The report as one HTML file: plots, tables and the wrong answers, with nothing loaded from elsewhere. Pure.

It shows the last words of wrongly answered cases, so that a reader sees what the figures mean: who may not read the
cases should not get the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape

from router_service.evaluate import plots
from router_service.evaluate.advice import advise, reasons
from router_service.evaluate.bootstrap import Estimate
from router_service.evaluate.cases import OTHER
from router_service.evaluate.measure import Measurement, difference, in_scope_scores
from router_service.evaluate.outcome import Outcome
from router_service.evaluate.report import ROUTES, interval, percent, percent_of, points, shown_routes, side_by_side

MATRIX_LABELS = 24  # more do not fit; the table of confusions has them
WRONG_ROWS = 500  # of the table of wrong answers
LAST_WORDS = 240  # characters of a wrong case's last turn

_STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfb; --card: #ffffff; --ink: #16181d; --soft: #5d6470; --rule: #e3e5e9;
  --one: #2a6fdb; --two: #d9622b; --cell: #f1f2f4; --strong: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --card: #1c1f25; --ink: #e9ebef; --soft: #9aa2ae;
  --rule: #30343c; --one: #5b9bf5; --two: #ef8650; --cell: #252930; --strong: #0d0f12; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .75rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 2rem 0 .25rem; }
p { margin: .25rem 0 .75rem; } p.soft { color: var(--soft); font-size: .9rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .75rem 1rem; }
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.tile span { display: block; color: var(--soft); font-size: .82rem; line-height: 1.35; }
ol.advice { padding-left: 1.4rem; } ol.advice li { margin: .5rem 0; }
code { font: .92em ui-monospace, monospace; background: var(--cell); padding: .05em .3em; border-radius: 4px; }
svg { display: block; width: 100%; height: auto; margin: .5rem 0; font: 12px system-ui, sans-serif; }
svg .one { fill: var(--one); } svg .two { fill: var(--two); } svg .cell { fill: var(--cell); }
svg .ink { fill: var(--ink); } svg .soft { fill: var(--soft); } svg .strong { fill: var(--strong); }
svg .end { text-anchor: end; } svg .mid { text-anchor: middle; }
svg .grid { stroke: var(--rule); } svg .axis { stroke: var(--soft); }
svg .diagonal { stroke: var(--ink); stroke-dasharray: 4 4; }
svg .whisker { stroke: var(--one); stroke-width: 2; }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em; }
.key i + i { margin-left: .8em; }
.key .one { background: var(--one); } .key .two { background: var(--two); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; margin: .75rem 0; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--rule); vertical-align: top;
  font-variant-numeric: tabular-nums; }
th { font-weight: 600; } .left { text-align: left; } td.words { min-width: 18rem; white-space: pre-line; }
summary { cursor: pointer; margin: .75rem 0; }
"""


def render(measurements: Sequence[Measurement]) -> str:
    """The page for one backend, or for several side by side."""
    body = [*_head(measurements)]
    for measurement in measurements:
        body += _backend(measurement, titled=len(measurements) > 1)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>How well it routes</title><style>{_STYLE}</style></head>\n<body><main>\n"
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def _head(measurements: Sequence[Measurement]) -> Iterator[str]:
    first = measurements[0]
    backends = " and ".join(escape(measurement.backend) for measurement in measurements)
    yield "<h1>How well it routes</h1>"
    yield (
        f'<p class="soft">{len(first.outcomes)} cases, {first.labelled} of them labelled, {len(first.routes)} routes, '
        f"classified by {backends}.</p>"
    )
    if len(measurements) > 1:
        rows = [(measurement.backend, measurement.accuracy) for measurement in measurements]
        yield plots.intervals([(name, share) for name, share in rows if share is not None], "Accuracy by backend")
        for other in measurements[1:]:
            gain = difference(first, other)
            if gain is not None:
                yield f"<p>{escape(other.backend)} against {escape(first.backend)}: {escape(points(gain))}.</p>"
        headings, *figures = side_by_side(measurements)
        yield _table(headings, figures, left=1)


def _backend(measurement: Measurement, *, titled: bool) -> Iterator[str]:
    if titled:
        yield f"<h2>{escape(measurement.backend)}</h2>"
    yield _tiles(measurement)
    yield from _advice(measurement)
    yield from _routes(measurement)
    yield from _confusions(measurement)
    yield from _confidence(measurement)
    yield from _conversations(measurement)
    if measurement.latency is not None:
        seconds = [outcome.latency_s for outcome in measurement.outcomes]
        yield "<h3>Latency</h3>"
        yield '<p class="soft">One case at a time, as the caller sees it; the scale is logarithmic.</p>'
        yield plots.latencies(seconds, measurement.latency, "How often each latency")
    yield from _wrong(measurement)


def _tiles(measurement: Measurement) -> str:
    share = measurement.answers.get(OTHER, 0) / len(measurement.outcomes)
    other = measurement.other
    tiles = [
        ("accuracy", percent(measurement.accuracy), interval(measurement.accuracy)),
        (
            "answered with no route",
            f"{share:.1%}",
            f"precision {percent_of(other.precision)}, recall {percent_of(other.recall)}",
        ),
    ]
    if measurement.auroc_other is not None:
        tiles.append(("telling routes from no route", f"{measurement.auroc_other:.3f}", "AUROC; 0.5 is chance"))
    if measurement.calibration is not None:
        tiles.append(("confidence off by", f"{measurement.calibration.error:.1%}", "expected calibration error"))
    if measurement.latency is not None:
        times = measurement.latency
        tiles.append(("latency, p50", f"{times.p50_ms:.1f} ms", f"p95 {times.p95_ms:.1f} ms"))
    if measurement.failures:
        failures = f"{reasons(measurement.failures)}; count as wrong"
        tiles.append(("not answered", str(sum(measurement.failures.values())), failures))
    if measurement.fallbacks:
        count = str(sum(measurement.fallbacks.values()))
        tiles.append(("by the fallback", count, reasons(measurement.fallbacks)))
    cells = (
        f'<div class="tile"><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(remark)}</span></div>'
        for name, value, remark in tiles
    )
    return f'<div class="tiles">{"".join(cells)}</div>'


def _advice(measurement: Measurement) -> Iterator[str]:
    findings = advise(measurement)
    yield "<h3>Most worth changing</h3>"
    if not measurement.labelled:
        yield "<p>No case is labelled, so nothing could be judged.</p>"
    elif not findings:
        yield "<p>Every labelled case was answered right.</p>"
    else:
        items = "".join(f"<li>{_code(str(finding))}</li>" for finding in findings)
        yield f'<ol class="advice">{items}</ol>'


def _routes(measurement: Measurement) -> Iterator[str]:
    rows = [*measurement.routes.items(), (f"({OTHER})", measurement.other)]
    yield "<h3>Routes</h3>"
    if len(measurement.routes) > ROUTES:
        yield f'<p class="soft">The plot shows the {ROUTES} routes with the lowest F1; the table has all.</p>'
    yield (
        '<p class="soft key"><i class="one"></i>recall: of the cases labelled so, answered so'
        '<i class="two"></i>precision: of the cases answered so, labelled so. At the right the number of labels.</p>'
    )
    yield plots.routes([*shown_routes(measurement.routes), rows[-1]], "Recall and precision by route")
    cells = [
        (name, str(q.support), str(q.named), percent_of(q.precision), percent_of(q.recall), percent_of(q.f1))
        for name, q in rows
    ]
    yield _details("The same as a table", ("route", "labelled", "answers", "precision", "recall", "F1"), cells, left=1)


def _confusions(measurement: Measurement) -> Iterator[str]:
    if not measurement.labelled:
        return
    yield "<h3>What is taken for what</h3>"
    labels = [*measurement.routes, OTHER]
    if len(labels) <= MATRIX_LABELS:
        pairs = Counter(
            (outcome.case.expected, outcome.predicted)
            for outcome in measurement.outcomes
            if outcome.case.expected is not None and outcome.predicted is not None
        )
        counts = {(want, got): number for (want, got), number in pairs.items() if want is not None and got is not None}
        yield '<p class="soft">Rows are labels, columns answers. The shade is the share of the row.</p>'
        yield plots.matrix(labels, counts, "Labels against answers")
    if measurement.confusions:
        cells = [(each.expected, each.predicted, str(each.count)) for each in measurement.confusions]
        yield _details(f"All {len(cells)} pairs as a table", ("labelled", "answered", "cases"), cells, left=2)


def _confidence(measurement: Measurement) -> Iterator[str]:
    if measurement.calibration is not None:
        yield "<h3>Can confidence be read as a probability</h3>"
        yield (
            '<p class="soft">Of the answers that named a route, by their confidence: how many were right. Bars under '
            "the dashed line claim more than they keep. Above each bar its number of answers.</p>"
        )
        yield plots.reliability(measurement.calibration, "Share right by confidence")
    in_scope, no_route = in_scope_scores(measurement.outcomes)
    if in_scope and no_route:
        yield "<h3>Telling routes from no route</h3>"
        yield (
            '<p class="soft">Score of the best route: upwards for cases that belong to a route, downwards for those '
            "that belong to none. The less the two overlap, the better a threshold can tell them apart.</p>"
        )
        yield plots.two_histograms(in_scope, no_route, ("some route", OTHER), "Best score by kind of case")


def _conversations(measurement: Measurement) -> Iterator[str]:
    found = measurement.conversations
    if found is None:
        return
    named: list[tuple[str, Estimate | None]] = [
        ("turns", found.turn),
        ("spans of one label", found.span),
        ("whole conversations", found.whole),
        ("turns at a switch", found.at_switch),
    ]
    yield "<h3>Conversations</h3>"
    yield (
        f'<p class="soft">{found.count} conversations. A span is right when each of its turns is; a switch is a turn '
        f"with another label than the turn before. The answer changed without a change of label (a flap) "
        f"{found.flaps} times, in {found.steady_turns} turns that stay on their subject.</p>"
    )
    yield plots.intervals([(name, share) for name, share in named if share is not None], "Conversation figures")


def _wrong(measurement: Measurement) -> Iterator[str]:
    wrong = [outcome for outcome in measurement.outcomes if outcome.case.expected is not None and not outcome.right]
    if not wrong:
        return
    yield "<h3>Wrong answers</h3>"
    if len(wrong) > WRONG_ROWS:
        yield f'<p class="soft">The first {WRONG_ROWS} of {len(wrong)}.</p>'
    rows = [
        (
            outcome.case.id,
            outcome.case.expected or "",
            outcome.predicted or f"({outcome.classification.reason.value})",
            _last_words(outcome),
            percent_of(outcome.classification.confidence),
        )
        for outcome in wrong[:WRONG_ROWS]
    ]
    headings = ("case", "labelled", "answered", "last words of the user", "confidence")
    yield _details(f"{len(rows)} cases with the last words of their user", headings, rows, left=4, words=3)


def _last_words(outcome: Outcome) -> str:
    turns = outcome.case.turns.turns
    position = outcome.case.turns.last_user
    text = turns[position].content if position is not None else ""
    return text if len(text) <= LAST_WORDS else f"{text[:LAST_WORDS]}…"


def _details(
    summary: str, headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int, words: int = -1
) -> str:
    """A table to unfold."""
    return f"<details><summary>{escape(summary)}</summary>{_table(headings, rows, left=left, words=words)}</details>"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int, words: int = -1) -> str:
    """The first `left` columns are names, column `words` is running text."""

    def css(column: int) -> str:
        return ' class="left words"' if column == words else ' class="left"' if column < left else ""

    head = "".join(f"<th{css(column)}>{escape(text)}</th>" for column, text in enumerate(headings))
    body = "".join(
        "<tr>" + "".join(f"<td{css(column)}>{escape(cell)}</td>" for column, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _code(text: str) -> str:
    """Escaped, with `names` between backticks set as code."""
    return "".join(
        f"<code>{escape(part)}</code>" if index % 2 else escape(part) for index, part in enumerate(text.split("`"))
    )
