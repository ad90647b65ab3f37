"""The report as plain text: the same cases and answers print the same bytes, latencies aside. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from router_service.evaluate.advice import advise, reasons
from router_service.evaluate.bootstrap import Estimate
from router_service.evaluate.cases import OTHER
from router_service.evaluate.measure import Measurement, difference
from router_service.evaluate.metrics import LabelQuality

ROUTES = 50  # shown, as many as a classifier should have to tell apart; more would scroll the accuracy away
CONFUSIONS = 10  # shown; the JSON has all of them
WIDTH = 100  # of wrapped text; the tables are narrower
WIDEST_NAME = 32  # columns; longer route names are cut

Row = Sequence[str]


def render(measurements: Sequence[Measurement]) -> str:
    """One backend in full; of several, a table side by side and then each in full."""
    parts = [_comparison(measurements)] if len(measurements) > 1 else []
    parts += ["\n".join(_backend(measurement)) for measurement in measurements]
    return "\n\n".join(parts) + "\n"


def _backend(measurement: Measurement) -> Iterator[str]:
    cases = len(measurement.outcomes)
    unlabelled = "" if measurement.labelled == cases else f" ({measurement.labelled} labelled)"
    yield f"{measurement.backend}: {_count(cases, 'case')}{unlabelled}, {_count(len(measurement.routes), 'route')}"
    yield ""
    yield from _table(_figures(measurement), left=3)
    yield ""
    if len(measurement.routes) > ROUTES:
        yield f"the {ROUTES} routes with the lowest F1; the other reports have all {len(measurement.routes)}"
    yield from _table(_routes(measurement), left=1)
    if measurement.confusions:
        yield ""
        yield f"most frequent confusions, of {sum(each.count for each in measurement.confusions)}"
        rows = [(str(each.count), each.expected, "taken for", each.predicted) for each in measurement.confusions]
        yield from _table(rows[:CONFUSIONS], left=4, right=1)
    yield ""
    yield from _advice(measurement)


def _figures(measurement: Measurement) -> Iterator[Row]:
    """Name, value, remark."""
    yield "accuracy", percent(measurement.accuracy), interval(measurement.accuracy)
    if measurement.in_scope is not None and measurement.other.support:
        yield "  of some route", percent(measurement.in_scope), interval(measurement.in_scope)
        yield "  of no route", percent_of(measurement.other.recall), f"{measurement.other.support} cases"
    share = measurement.answers.get(OTHER, 0) / len(measurement.outcomes)
    labelled_other = f"{measurement.other.support / measurement.labelled:.1%}" if measurement.labelled else "-"
    yield "no route (other)", f"{share:.1%}", f"of the answers; of the labels {labelled_other}"
    if measurement.auroc_other is not None:
        yield "route or no route", f"{measurement.auroc_other:.3f}", "AUROC: 1 is perfect, 0.5 is chance"
    if measurement.calibration is not None:
        yield "confidence off by", f"{measurement.calibration.error:.1%}", "on average (expected calibration error)"
    if measurement.latency is not None:
        times = measurement.latency
        yield "latency p50", f"{times.p50_ms:.1f} ms", f"p95 {times.p95_ms:.1f} ms, longest {times.max_ms:.1f} ms"
    if measurement.failures:
        yield (
            "not answered",
            str(sum(measurement.failures.values())),
            f"{reasons(measurement.failures)}; count as wrong",
        )
    if measurement.fallbacks:
        yield "by the fallback", str(sum(measurement.fallbacks.values())), reasons(measurement.fallbacks)
    found = measurement.conversations
    if found is not None:
        yield "turns right", percent(found.turn), f"{interval(found.turn)}, in {found.count} conversations"
        yield "spans right", percent(found.span), interval(found.span)
        yield "conversations right", percent(found.whole), interval(found.whole)
        if found.at_switch is not None:
            yield "right at a switch", percent(found.at_switch), interval(found.at_switch)
        yield "flaps", str(found.flaps), f"of {found.steady_turns} turns that stay on their subject"


def _routes(measurement: Measurement) -> Iterator[Row]:
    yield "route", "labelled", "answers", "precision", "recall", "F1"
    for name, quality in [*shown_routes(measurement.routes), (f"({OTHER})", measurement.other)]:
        yield _shorten(name), *_quality(quality)


def _quality(quality: LabelQuality) -> Row:
    shares = (quality.precision, quality.recall, quality.f1)
    return str(quality.support), str(quality.named), *map(percent_of, shares)


def _advice(measurement: Measurement) -> Iterator[str]:
    findings = advise(measurement)
    if not measurement.labelled:
        yield "No case is labelled, so nothing could be judged: add `expected` to some."
    elif not findings:
        yield "Every labelled case was answered right."
    else:
        yield "most worth changing"
        for number, finding in enumerate(findings, start=1):
            yield from textwrap.wrap(f"{number}. {finding}", WIDTH, subsequent_indent="   ", break_on_hyphens=False)


def side_by_side(measurements: Sequence[Measurement]) -> list[Row]:
    """A row of headings, then a row per figure with its value for each backend."""
    tables = [{row[0]: row[1] for row in _figures(measurement)} for measurement in measurements]
    names = list(dict.fromkeys(name for table in tables for name in table))
    headings = ("", *(measurement.backend for measurement in measurements))
    return [headings, *((name, *(table.get(name, "-") for table in tables)) for name in names)]


def _comparison(measurements: Sequence[Measurement]) -> str:
    lines = list(_table(side_by_side(measurements), left=1))
    first = measurements[0]
    for other in measurements[1:]:
        gain = difference(first, other)
        if gain is not None:
            lines.append(f"{other.backend} against {first.backend}: {points(gain)}")
    return "\n".join(lines)


def points(gain: Estimate) -> str:
    """A difference of two accuracies in words: `+2.1 points (95 % interval +0.3 to +4.0)`."""
    low, high = gain.low * 100, gain.high * 100
    verdict = "" if low > 0 or high < 0 else "; these cases cannot tell them apart"
    return f"{gain.value * 100:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}){verdict}"


def percent(share: Estimate | None) -> str:
    return "-" if share is None else f"{share.value:.1%}"


def percent_of(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def interval(share: Estimate | None) -> str:
    return "no labelled case" if share is None else f"95 % interval {share.low:.1%} to {share.high:.1%}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shown_routes(routes: Mapping[str, LabelQuality]) -> list[tuple[str, LabelQuality]]:
    """All of them in their order; of many the ones with the lowest F1, lowest first."""
    if len(routes) <= ROUTES:
        return list(routes.items())
    return sorted(routes.items(), key=lambda route: 2.0 if route[1].f1 is None else route[1].f1)[:ROUTES]


def _shorten(name: str) -> str:
    return name if len(name) <= WIDEST_NAME else f"{name[: WIDEST_NAME - 1]}…"


def _table(rows: Iterator[Row] | Sequence[Row], *, left: int, right: int = 0) -> Iterator[str]:
    """Aligned columns, two spaces apart: the first `right` to the right, then up to column `left` to the left."""
    table = list(rows)
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        cells = [
            cell.ljust(width) if right <= column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
