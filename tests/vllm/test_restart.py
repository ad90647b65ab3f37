"""vLLM dies in the middle of questions and comes back: each request has its reason, and nobody restarts anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import groupby

import pytest

from router_service.classify.facts import Facts
from router_service.classify.opening import open_arch_router
from router_service.config.build import build_catalog
from router_service.config.models import Config
from router_service.routing.breaker import Policy
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import ANSWERED, Classification, Reason
from tests.vllm.server import VllmServer

pytestmark = pytest.mark.timeout(900)  # vLLM starts once or twice

NAMES = ("code", "weather", "travel")


@dataclass
class Told:
    lines: list[str] = field(default_factory=list)

    def found(self, address: str, facts: Facts) -> None:
        self.lines.append("found")

    def lost(self, address: str, why: str) -> None:
        self.lines.append("lost")


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_killing_vllm_and_starting_it_again_is_survived(vllm: VllmServer) -> None:
    config = Config.model_validate(
        {
            "model_providers": [{"model": "openai/small", "default": True}],
            "routing_preferences": [
                {"name": name, "description": f"requests about {name}", "models": ["small"]} for name in NAMES
            ],
            "router": {"backend": "vllm", "url": vllm.url},
        }
    )
    told, clock, policy = Told(), Clock(), Policy(failures=5, first_pause_s=1.0)
    async with open_arch_router(
        config, build_catalog(config), timeout_s=60, watcher=told, policy=policy, clock=clock
    ) as opened:

        async def ask(text: str) -> Classification:
            return await opened.classifier.classify(Conversation((Turn("user", text),)))

        async def look_until_found() -> None:
            while not told.lines or told.lines[-1] != "found":
                await opened.watch.look()

        await look_until_found()
        assert (await ask("hello")).reason in ANSWERED

        under_way = [asyncio.create_task(ask(f"{number} {'a very long text ' * 700}")) for number in range(8)]
        await vllm.until(lambda: vllm.metric("vllm:num_requests_running") > 0)
        vllm.kill()
        reasons = {answer.reason for answer in await asyncio.gather(*under_way)}
        assert Reason.CLASSIFIER_ERROR in reasons
        assert reasons <= {Reason.CLASSIFIER_ERROR, Reason.BREAKER_OPEN, *ANSWERED}
        assert (await ask("while it is down")).reason is Reason.BREAKER_OPEN
        clock.now_s += policy.first_pause_s
        assert (await ask("the probe while it is down")).reason is Reason.CLASSIFIER_ERROR
        await opened.watch.look()

        await asyncio.to_thread(vllm.start)
        await look_until_found()
        clock.now_s += policy.longest_pause_s
        answer = await ask("hello again")
        assert answer.reason in ANSWERED
        assert answer.confidence is not None
        assert [line for line, _ in groupby(told.lines)][-3:] == ["found", "lost", "found"]
