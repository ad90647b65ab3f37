"""What is remembered, for how long, and what goes first."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from router_service.classify.answer_cache import AnswerCache


def test_an_answer_is_kept_until_its_time_is_over() -> None:
    cache = AnswerCache[str](ttl_s=10, entries=5)
    cache.put("question", "answer", 100.0)
    assert cache.get("question", 109.9) == "answer"
    assert cache.get("question", 110.0) is None
    assert len(cache) == 0


def test_the_answer_not_used_for_longest_makes_room() -> None:
    cache = AnswerCache[str](ttl_s=10, entries=2)
    for key in ("a", "b"):
        cache.put(key, key, 0.0)
    cache.get("a", 1.0)
    cache.put("c", "c", 2.0)
    assert [cache.get(key, 3.0) for key in ("a", "b", "c")] == ["a", None, "c"]


def test_nothing_is_kept_without_a_time_to_live() -> None:
    cache = AnswerCache[str](ttl_s=0, entries=2)
    cache.put("question", "answer", 0.0)
    assert cache.get("question", 0.0) is None
    assert len(cache) == 0


class Machine(RuleBasedStateMachine):
    """Invariants: never more than its entries; what it returns is the newest put, and not past its time."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = AnswerCache[int](ttl_s=5, entries=3)
        self.now_s = 0.0
        self.put_at: dict[int, tuple[float, int]] = {}
        self.number = 0

    @rule(seconds=st.floats(0, 4))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(key=st.integers(0, 5))
    def put(self, key: int) -> None:
        self.number += 1
        self.cache.put(key, self.number, self.now_s)
        self.put_at[key] = (self.now_s, self.number)
        assert self.cache.get(key, self.now_s) == self.number

    @rule(key=st.integers(0, 5))
    def get(self, key: int) -> None:
        found = self.cache.get(key, self.now_s)
        if found is not None:
            at_s, number = self.put_at[key]
            assert found == number
            assert self.now_s < at_s + 5

    @invariant()
    def it_is_bounded(self) -> None:
        assert len(self.cache) <= 3


TestMachine = Machine.TestCase
