"""Two routers behind one Envoy are replaced one after the other under load, and no request fails."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.stack import Load, running_stack

RATE = 200


@pytest.mark.timeout(300)  # half a minute of load, on a busy machine more
async def test_no_request_fails_while_each_router_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.dumps({"model": "test/plain", "messages": [{"role": "user", "content": "hello"}]}).encode()
    async with running_stack(tmp_path, routers=2, service={"drain_delay": "3s"}) as stack:
        load, replaced = Load(stack.url, RATE, body), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load.run(until_set=replaced))
            for router in stack.routers:
                await router.stop()
                await stack.healthy_routers(1)
                router.start()
                await stack.healthy_routers(2)
            replaced.set()
        with capsys.disabled():
            print(f" {load.failed} failed of {load.sent} sent at {RATE} a second ", end="")
        assert load.outcomes == {"200": load.sent}
        assert load.sent > RATE  # it went on meanwhile
