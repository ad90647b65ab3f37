"""Answers remembered for a while: a bounded number, oldest use out first, none beyond its time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")


class AnswerCache(Generic[_Value]):
    """Time is an argument, in seconds of any monotonic clock. With `ttl_s` 0 nothing is kept."""

    def __init__(self, *, ttl_s: float, entries: int) -> None:
        self._ttl_s = ttl_s
        self._most = entries
        self._kept: OrderedDict[Hashable, tuple[float, _Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, now_s: float) -> _Value | None:
        found = self._kept.get(key)
        if found is None:
            return None
        until_s, value = found
        if now_s >= until_s:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, key: Hashable, value: _Value, now_s: float) -> None:
        if self._ttl_s <= 0:
            return
        self._kept[key] = (now_s + self._ttl_s, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
