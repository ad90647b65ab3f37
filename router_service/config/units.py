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
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([A-Za-z]*)", re.ASCII)

# The same for JSON Schema (ECMA 262).
DURATION_PATTERN = rf"^\s*\d{{1,15}}(\.\d{{1,15}})?\s*({'|'.join(_SECONDS)})?\s*$"
SIZE_PATTERN = rf"^\s*\d{{1,15}}(\.\d{{1,15}})?\s*({'|'.join(_BYTES)})?\s*$"


def parse_duration_s(value: object) -> float:
    """Seconds; ValueError for anything that is not a non-negative duration."""
    return _parse(value, _SECONDS, default="s", wrong="is not a duration; write it like 500ms, 30s or 2m")


def parse_size_bytes(value: object) -> int:
    """Bytes; ValueError for anything that is not a non-negative size."""
    return int(_parse(value, _BYTES, default="B", wrong="is not a size; write it like 512KiB, 32MiB or 10MB"))


def format_duration(seconds: float) -> str:
    """As a file would write it: `500ms`, `30s`, `10m`; the largest unit in which it is a whole number."""
    return _format(seconds, _SECONDS, smallest="us")


def format_size(size_bytes: int) -> str:
    """As a file would write it: `32MiB`."""
    return _format(size_bytes, {unit: _BYTES[unit] for unit in ("B", "KiB", "MiB", "GiB")}, smallest="B")


def _format(value: float, units: dict[str, float] | dict[str, int], *, smallest: str) -> str:
    if value == 0:
        return "0"
    whole = [unit for unit, size in units.items() if value >= size and round(value / size, 6).is_integer()]
    unit = whole[-1] if whole else smallest
    return f"{value / units[unit]:.15g}{unit}"


def _parse(value: object, units: dict[str, float] | dict[str, int], *, default: str, wrong: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(wrong)
    match = _QUANTITY.fullmatch(str(value).strip())
    if match is None or (match[2] or default) not in units:
        raise ValueError(wrong)
    return float(match[1]) * units[match[2] or default]
