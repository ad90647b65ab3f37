"""A model server that hangs holds up the requests that wait for it, and no other: the whole product as processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.contract.scripted_server import Request, answer, complete, running
from tests.support.stack import Stack, running_stack, until

# Two connections' worth of streams between Envoy and the router, and as many requests again as pass them.
WAITING, NAMED = 200, 100


@dataclass
class Hanging:
    """Lists a model that is not the one, so that nothing is asked but by clients; then says no more."""

    questions: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if not request.path.endswith("/chat/completions"):
            await answer(200, b'{"data": [{"id": "another"}]}')(request, writer)
            return
        self.questions += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.hung_up.set()


@asynccontextmanager
async def router_behind(url: str, directory: Path) -> AsyncIterator[tuple[Stack, aiohttp.ClientSession]]:
    router = {"backend": "vllm", "url": url, "timeout": "100s", "fallback": "none"}
    async with (
        running_stack(directory, routers=1, router=router) as stack,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        yield stack, session


async def ask(session: aiohttp.ClientSession, stack: Stack, model: str, text: str) -> str:
    """The reason with which the request was routed."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}]})
    async with session.post(stack.url, data=body) as response:
        assert response.status == 200, await response.text()
        return response.headers["x-router-reason"]


async def test_requests_that_name_their_model_pass_those_that_wait_for_a_slow_model_server(tmp_path: Path) -> None:
    hanging = Hanging()
    async with running(hanging) as server, router_behind(server.url, tmp_path) as (stack, session):
        waiting = [asyncio.create_task(ask(session, stack, "auto", f"question {n}")) for n in range(WAITING)]
        await until(lambda: hanging.questions == WAITING, f"{WAITING} questions")
        named = await asyncio.gather(*(ask(session, stack, "test/plain", f"request {n}") for n in range(NAMED)))
        assert set(named) == {"requested"}
        assert not any(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_client_that_hangs_up_takes_its_question_off_the_model_server(tmp_path: Path) -> None:
    hanging = Hanging()
    async with running(hanging) as server, router_behind(server.url, tmp_path) as (stack, session):
        waiting = asyncio.create_task(ask(session, stack, "auto", "hello"))
        await until(lambda: hanging.questions == 1, "question")
        assert not hanging.hung_up.is_set()
        waiting.cancel()
        async with asyncio.timeout(60):
            await hanging.hung_up.wait()
        server.script = complete('code"')
        assert await ask(session, stack, "auto", "hello again") == "matched"
