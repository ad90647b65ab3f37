"""The report's plots, as SVG to stand inside of an HTML page. Pure: figures in, text out.

A plot has no colours of its own: its marks carry the classes `one`, `two`, `ink`, `soft` and `grid`, which the page's
style sheet colours for light and dark. Every mark has a `<title>` that says its numbers, and every string is escaped.
SVG 1.1: https://www.w3.org/TR/SVG11/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from router_service.evaluate.bootstrap import Estimate
from router_service.evaluate.metrics import Calibration, LabelQuality, Latency

WIDTH = 720  # user units; the page scales the plot to its column
LEFT = 190  # room for names
RIGHT = 60  # room for a number at the end of a row
HISTOGRAM_BINS = 24
NAME_LENGTH = 26  # characters that fit into LEFT

_PLOT = WIDTH - LEFT - RIGHT
_PERCENTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def intervals(rows: Sequence[tuple[str, Estimate]], title: str) -> str:
    """A dot with its 95 % interval per row, on a scale from 0 to 100 %."""
    step, top = 30, 8
    height = top + step * len(rows) + 24
    parts = _percent_grid(top, height - 24)
    for index, (name, share) in enumerate(rows):
        y = top + step * index + step / 2
        low, mid, high = (LEFT + _PLOT * bound for bound in (share.low, share.value, share.high))
        tip = f"{name}: {share.value:.1%}, 95 % interval {share.low:.1%} to {share.high:.1%}, of {share.count}"
        parts.append(_text(LEFT - 10, y + 4, _cut(name), "ink end"))
        parts.append(f"<g>{_tip(tip)}{_line(low, y, high, y, 'one whisker')}")
        parts.append(f'<circle class="one" cx="{mid:.1f}" cy="{y:.1f}" r="5"/></g>')
        parts.append(_text(WIDTH - RIGHT + 8, y + 4, f"{share.value:.1%}", "ink"))
    return _svg(height, title, parts)


def routes(rows: Sequence[tuple[str, LabelQuality]], title: str) -> str:
    """Recall (first bar) and precision (second) per label."""
    step, top = 34, 8
    height = top + step * len(rows) + 24
    parts = _percent_grid(top, height - 24)
    for index, (name, quality) in enumerate(rows):
        y = top + step * index
        parts.append(_text(LEFT - 10, y + step / 2 + 4, _cut(name), "ink end"))
        for offset, word, share, css in (
            (6, "recall", quality.recall, "one"),
            (18, "precision", quality.precision, "two"),
        ):
            if share is None:
                continue
            counts = f"{quality.right} right, {quality.support} labelled, {quality.named} answers"
            tip = f"{name}: {word} {share:.1%} ({counts})"
            parts.append(f"<g>{_tip(tip)}{_rect(LEFT, y + offset, max(1.0, _PLOT * share), 10, css)}</g>")
        parts.append(_text(WIDTH - RIGHT + 8, y + step / 2 + 4, str(quality.support), "soft"))
    return _svg(height, title, parts)


def matrix(labels: Sequence[str], counts: Mapping[tuple[str, str], int], title: str) -> str:
    """Rows are labels, columns answers; the shade is the share of the row. Right answers lie on the diagonal."""
    cell = _PLOT / len(labels)
    top = 130.0
    height = top + cell * len(labels) + 8
    parts = []
    for position, name in enumerate(labels):
        middle = position * cell + cell / 2
        parts.append(_text(LEFT - 10, top + middle + 4, _cut(name), "ink end"))
        x, y = LEFT + middle, top - 8.0
        parts.append(
            f'<text class="ink" transform="rotate(-45 {x:.1f} {y:.1f})" x="{x:.1f}" y="{y:.1f}">'
            f"{escape(_cut(name, 20))}</text>"
        )
    for row, expected in enumerate(labels):
        total = sum(counts.get((expected, predicted), 0) for predicted in labels)
        for column, predicted in enumerate(labels):
            count = counts.get((expected, predicted), 0)
            x, y = LEFT + column * cell, top + row * cell
            share = count / total if total else 0.0
            css = "one" if row == column else "two"
            tip = f"{count} of {total} labelled {expected} were answered {predicted}"
            parts.append(f"<g>{_tip(tip)}{_rect(x, y, cell - 1, cell - 1, 'cell')}")
            if count:
                parts.append(_rect(x, y, cell - 1, cell - 1, css, opacity=0.15 + 0.85 * share))
                if cell >= 16:
                    strong = " strong" if share > 0.45 else ""
                    parts.append(_text(x + cell / 2, y + cell / 2 + 4, str(count), f"ink mid{strong}"))
            parts.append("</g>")
    return _svg(height, title, parts)


def reliability(found: Calibration, title: str) -> str:
    """Per bin of confidence the share that was right, against the diagonal that a calibrated classifier follows."""
    top, size = 8, 260
    height = top + size + 44
    width = _PLOT
    parts = []
    for share in _PERCENTS:
        y = top + size * (1 - share)
        parts += [_line(LEFT, y, LEFT + width, y, "grid"), _text(LEFT - 10, y + 4, f"{share:.0%}", "soft end")]
        parts.append(_text(LEFT + width * share, top + size + 18, f"{share:.0%}", "soft mid"))
    for each in found.bins:
        x = LEFT + width * each.low
        bar = width * (each.high - each.low) - 2
        tip = (
            f"confidence {each.low:.0%} to {each.high:.0%}: {each.count} answers, {each.accuracy:.1%} right, "
            f"{each.confidence:.1%} claimed"
        )
        filled = max(1.0, size * each.accuracy)
        parts.append(f"<g>{_tip(tip)}{_rect(x + 1, top + size - filled, bar, filled, 'one')}")
        parts.append(_text(x + 1 + bar / 2, top + size - filled - 5, str(each.count), "soft mid") + "</g>")
    parts.append(_line(LEFT, top + size, LEFT + width, top, "diagonal"))
    parts.append(_text(LEFT + width / 2, height - 6, "confidence", "soft mid"))
    return _svg(height, title, parts)


def two_histograms(first: Sequence[float], second: Sequence[float], names: tuple[str, str], title: str) -> str:
    """Two sets of scores on one scale, each as shares of its own, the first upwards and the second downwards."""
    low, high = min(*first, *second), max(*first, *second)
    high = high if high > low else low + 1.0
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    shares = [np.histogram(scores, edges)[0] / len(scores) for scores in (first, second)]
    peak = max(float(share.max()) for share in shares)
    top, half = 8, 110
    height = top + 2 * half + 26
    middle = top + half
    bar = _PLOT / HISTOGRAM_BINS
    parts = []
    for share, sign, css, name in ((shares[0], -1, "one", names[0]), (shares[1], 1, "two", names[1])):
        parts.append(_text(LEFT - 10, middle + sign * half / 2 + 4, name, "ink end"))
        for index, value in enumerate(share):
            if value:
                size = max(1.0, half * float(value) / peak)
                tip = f"{name}, {edges[index]:.2f} to {edges[index + 1]:.2f}: {float(value):.1%}"
                y = middle - size if sign < 0 else middle
                parts.append(f"<g>{_tip(tip)}{_rect(LEFT + index * bar + 1, y, bar - 2, size, css)}</g>")
    parts.append(_line(LEFT, middle, LEFT + _PLOT, middle, "axis"))
    for share_of_axis in _PERCENTS:
        value = low + (high - low) * share_of_axis
        parts.append(_text(LEFT + _PLOT * share_of_axis, height - 6, f"{value:.2f}", "soft mid"))
    return _svg(height, title, parts)


def latencies(seconds: Sequence[float], found: Latency, title: str) -> str:
    """How often each latency, on a logarithmic scale, with p50 and p95 marked."""
    milliseconds = [max(each * 1e3, 1e-3) for each in seconds]  # a clock may not move between two readings
    low, high = math.log10(min(milliseconds)), math.log10(max(milliseconds))
    low, high = (low - 0.5, high + 0.5) if high - low < 0.1 else (low, high)
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1)
    counts = np.histogram([math.log10(each) for each in milliseconds], edges)[0]
    top, size = 26, 150
    height = top + size + 24
    bar = _PLOT / HISTOGRAM_BINS
    parts = []
    for index, count in enumerate(counts.tolist()):
        if count:
            filled = max(1.0, size * count / counts.max())
            tip = f"{10 ** edges[index]:.3g} to {10 ** edges[index + 1]:.3g} ms: {count} cases"
            parts.append(
                f"<g>{_tip(tip)}{_rect(LEFT + index * bar + 1, top + size - filled, bar - 2, filled, 'one')}</g>"
            )
    parts.append(_line(LEFT, top + size, LEFT + _PLOT, top + size, "axis"))
    for share in _PERCENTS:
        value = 10 ** (low + (high - low) * share)
        parts.append(_text(LEFT + _PLOT * share, height - 6, f"{value:.3g} ms", "soft mid"))
    for name, value, anchor in (("p50", found.p50_ms, "end"), ("p95", found.p95_ms, "start")):
        x = LEFT + _PLOT * min(1.0, max(0.0, (math.log10(max(value, 1e-3)) - low) / (high - low)))
        parts.append(_line(x, top - 4, x, top + size, "diagonal"))
        parts.append(_text(x, top - 10, f"{name} {value:.1f} ms", f"ink {anchor}"))
    return _svg(height, title, parts)


def _percent_grid(top: float, bottom: float) -> list[str]:
    parts = []
    for share in _PERCENTS:
        x = LEFT + _PLOT * share
        parts += [_line(x, top, x, bottom, "grid"), _text(x, bottom + 18, f"{share:.0%}", "soft mid")]
    return parts


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _rect(x: float, y: float, width: float, height: float, css: str, *, opacity: float = 1.0) -> str:
    shade = "" if opacity == 1.0 else f' fill-opacity="{opacity:.2f}"'
    return f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"{shade}/>'


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line class="{css}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, css: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _cut(name: str, length: int = NAME_LENGTH) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"
