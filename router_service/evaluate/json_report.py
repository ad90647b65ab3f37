"""What `--json` writes; docs/evaluation.md documents every key. Pure.

Shares are in [0, 1]; a figure that does not exist is null.
"""

from __future__ import annotations

from collections.abc import Sequence

from router_service.evaluate.bootstrap import Estimate
from router_service.evaluate.cases import OTHER
from router_service.evaluate.measure import Measurement, difference
from router_service.evaluate.metrics import Calibration, LabelQuality, Latency


def to_json(measurements: Sequence[Measurement]) -> dict[str, object]:
    """The first backend's figures; those of the others, if there are any, in the list `compare`."""
    first, *others = measurements
    compared: list[dict[str, object]] = []
    for other in others:
        gain = difference(first, other)
        compared.append({**_figures(other), "gain": _value(gain), "gain_ci": _interval(gain)})
    return {**_figures(first), "compare": compared} if others else _figures(first)


def _figures(measurement: Measurement) -> dict[str, object]:
    accuracy, other, conversations = measurement.accuracy, measurement.other, measurement.conversations
    return {
        "backend": measurement.backend,
        "cases": len(measurement.outcomes),
        "labelled": measurement.labelled,
        "accuracy": _value(accuracy),
        "accuracy_ci": _interval(accuracy),
        "accuracy_in_scope": _value(measurement.in_scope),
        "routes": {
            name: {**_quality(quality), "answers": measurement.answers.get(name, 0)}
            for name, quality in measurement.routes.items()
        },
        "other": {
            **_quality(other),
            "answers": measurement.answers.get(OTHER, 0),
            "share": _round(measurement.answers.get(OTHER, 0) / len(measurement.outcomes)),
            "expected_share": _round(other.support / measurement.labelled) if measurement.labelled else None,
        },
        "failures": {reason.value: count for reason, count in sorted(measurement.failures.items())},
        "fallbacks": {reason.value: count for reason, count in sorted(measurement.fallbacks.items())},
        "auroc_other": _round(measurement.auroc_other),
        "confusions": [
            {"expected": each.expected, "predicted": each.predicted, "count": each.count}
            for each in measurement.confusions
        ],
        "calibration": _calibration_json(measurement.calibration),
        "latency_ms": _latency_json(measurement.latency),
        "conversations": conversations.count if conversations else 0,
        "turn": _value(conversations.turn) if conversations else None,
        "span": _value(conversations.span) if conversations else None,
        "conversation": _value(conversations.whole) if conversations else None,
        "at_switch": _value(conversations.at_switch) if conversations else None,
        "flaps": conversations.flaps if conversations else None,
        "intervals": {
            "accuracy_in_scope": _interval(measurement.in_scope),
            "turn": _interval(conversations.turn) if conversations else None,
            "span": _interval(conversations.span) if conversations else None,
            "conversation": _interval(conversations.whole) if conversations else None,
            "at_switch": _interval(conversations.at_switch) if conversations else None,
        },
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _value(share: Estimate | None) -> float | None:
    return None if share is None else _round(share.value)


def _interval(share: Estimate | None) -> list[float | None] | None:
    return None if share is None else [_round(share.low), _round(share.high)]


def _quality(quality: LabelQuality) -> dict[str, object]:
    return {
        "precision": _round(quality.precision),
        "recall": _round(quality.recall),
        "f1": _round(quality.f1),
        "support": quality.support,
    }


def _calibration_json(found: Calibration | None) -> dict[str, object] | None:
    if found is None:
        return None
    bins = [
        {
            "from": each.low,
            "to": each.high,
            "count": each.count,
            "confidence": _round(each.confidence),
            "accuracy": _round(each.accuracy),
        }
        for each in found.bins
    ]
    return {"ece": _round(found.error), "bins": bins}


def _latency_json(found: Latency | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {"p50": round(found.p50_ms, 3), "p95": round(found.p95_ms, 3), "max": round(found.max_ms, 3)}
