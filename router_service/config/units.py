"""`500ms`, `2m` and `32MiB` to seconds and bytes. A bare number is seconds, or bytes."""

from __future__ import annotations

import re

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse_duration_s(value: object) -> float:
    """Seconds; ValueError for anything that is not a non-negative duration."""
    return _parse(value, _SECONDS, default="s", example="500ms, 30s or 2m")


def parse_size_bytes(value: object) -> int:
    """Bytes; ValueError for anything that is not a non-negative size."""
    return int(_parse(value, _BYTES, default="B", example="512KiB, 32MiB or 10MB"))


def _parse(value: object, units: dict[str, float] | dict[str, int], *, default: str, example: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"write it like {example}")
    match = _QUANTITY.fullmatch(str(value).strip())
    if match is None or (match[2] or default) not in units:
        raise ValueError(f"write it like {example}")
    return float(match[1]) * units[match[2] or default]
