"""When a drain ends: nothing under way and settled, or out of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from router_service.dataplane.drain import POLL_S, EnvoyAdmin, drain
from router_service.errors import SetupError
from tests.support.ports import refused_port


@dataclass
class FakeEnvoy:
    """`under_way` are the answers to each question, the last one for ever; time passes only by sleeping."""

    under_way: Iterable[int]
    said: list[str] = field(default_factory=list)
    now: float = 100.0

    def __post_init__(self) -> None:
        self._answers: Iterator[int] = iter(self.under_way)
        self._last = 0

    def fail_health_checks(self) -> None:
        self.said.append("fail")

    def requests_under_way(self) -> int:
        self.said.append("ask")
        self._last = next(self._answers, self._last)
        return self._last

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def drain(self, *, settle_s: float = 0.0, timeout_s: float = 60.0) -> int:
        return drain(self, settle_s=settle_s, timeout_s=timeout_s, clock=lambda: self.now, sleep=self.sleep)


def test_an_idle_envoy_is_drained_at_once() -> None:
    envoy = FakeEnvoy([0])
    assert (envoy.drain(), envoy.now, envoy.said) == (0, 100.0, ["fail", "ask"])


def test_it_settles_before_it_believes_that_nothing_is_under_way() -> None:
    envoy = FakeEnvoy([0])
    assert envoy.drain(settle_s=5.0) == 0
    assert envoy.now == 105.0


def test_it_waits_for_the_requests_under_way() -> None:
    envoy = FakeEnvoy([3, 2, 1, 0])
    assert envoy.drain() == 0
    assert envoy.now == 100.0 + 3 * POLL_S


def test_it_says_how_many_are_left_when_the_time_is_up() -> None:
    envoy = FakeEnvoy([7])
    assert envoy.drain(timeout_s=10.0) == 7
    assert envoy.now == 110.0


def test_no_envoy_is_said_so() -> None:
    with refused_port() as port, pytest.raises(SetupError, match=rf"127\.0\.0\.1:{port} \(Connection refused\)"):
        EnvoyAdmin(port).fail_health_checks()
