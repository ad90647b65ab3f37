"""Prices from a file on this machine, looked at on an interval and read when it has changed.

A file that is replaced by renaming another over it, as Kubernetes and editors do, is seen as a whole; one that is half
written is a mistake for a moment, and the prices before it stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from router_service.config.prices import parse_prices
from router_service.routing.catalog import Target
from router_service.selection.source import SourceFailed, known

_MAX_BYTES = 2**20  # as the configuration itself

_Version = tuple[int, int, int]  # inode, nanoseconds of its last change, bytes


@dataclass(slots=True)
class PriceFile:
    path: Path
    targets: Sequence[Target]
    interval_s: float
    name: str = "file"
    _read: tuple[_Version, Mapping[str, float]] | None = field(default=None, init=False)

    async def read(self) -> Mapping[str, float]:
        return await asyncio.to_thread(self._read_if_changed)

    def _read_if_changed(self) -> Mapping[str, float]:
        try:
            found = self.path.stat()
            version = (found.st_ino, found.st_mtime_ns, found.st_size)
            if self._read is not None and self._read[0] == version:
                return self._read[1]
            if found.st_size > _MAX_BYTES:
                raise SourceFailed(f"larger than {_MAX_BYTES} bytes")
            text = self.path.read_text("utf-8-sig")
        except OSError as error:
            raise SourceFailed(error.strerror or type(error).__name__) from error
        except UnicodeDecodeError as error:
            raise SourceFailed("not UTF-8 text") from error
        prices, problems = parse_prices(text)
        if problems:
            first = problems[0]
            where = [f"line {first.line}:"] * bool(first.line) + [first.path] * bool(first.path)
            raise SourceFailed(" ".join([*where, first.what]))
        self._read = version, known(self.targets, prices)
        return self._read[1]
