"""Requests in other APIs than Chat Completions: which models they reach, with which credential, how failures read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from router_service.config.models import Config
from router_service.errors import RequestError
from tests.contract.conftest import CHAT, Client, Reply
from tests.support.envoy import Envoy, write_rendered
from tests.support.ports import refused_port
from tests.support.providers import Provider, answer_ok, answers
from tests.support.worker import Counts, Names, start_worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
RESPONSES = "/v1/responses"
CLIENT = {"x-api-key": "sk-client", "authorization": "Bearer sk-client"}
TURNS = [{"role": "user", "content": "hi"}]


class Tolerant(Counts):
    """Here refusals are among what is tested."""

    def rejected(self, error: RequestError, *, request_id: str, seconds: float) -> None:
        pass


@dataclass(slots=True)
class Plane:
    """Envoy, a real worker, and a provider for each model of the pool `mixed`."""

    client: Client
    names: Names
    told: Counts
    openai: Provider
    claude: Provider
    router: Provider

    @property
    def attempts(self) -> list[int]:
        return [len(provider.received) for provider in self.providers]

    @property
    def providers(self) -> Sequence[Provider]:
        return self.openai, self.claude, self.router

    async def post(self, path: str, model: str = "auto", **headers: str) -> Reply:
        turns = {"input": "hi"} if path == RESPONSES else {"messages": TURNS}
        sent = {**CLIENT, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.client.post(path=path, body=json.dumps({"model": model, **turns}).encode(), headers=sent)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    directory = tmp_path_factory.mktemp("apis")
    async with AsyncExitStack() as stack:
        providers = [await stack.enter_async_context(Provider()) for _ in range(3)]
        openai, claude, router = (f"http://127.0.0.1:{provider.port}" for provider in providers)
        refused = stack.enter_context(refused_port())
        config = Config.model_validate(
            {
                "listeners": [{"name": "egress", "address": "127.0.0.1"}],
                "model_providers": [
                    {"model": "openai/gpt", "base_url": openai, "access_key": "sk-openai", "default": True},
                    {"model": "anthropic/claude", "base_url": f"{claude}/a/v1", "access_key": "sk-claude"},
                    {"model": "openrouter/x/y", "base_url": f"{router}/api/v1", "access_key": "sk-router"},
                    {"model": "anthropic/own", "base_url": claude, "passthrough_auth": True},
                    {"model": "anthropic/down", "base_url": f"http://127.0.0.1:{refused}/a/v1", "access_key": "sk-x"},
                    {"model": "anthropic/no-key", "base_url": claude},
                ],
                "routing_preferences": [
                    {
                        "name": "mixed",
                        "description": "requests of this kind",
                        "models": ["openai/gpt", "anthropic/claude", "openrouter/x/y"],
                    },
                ],
                "service": {"drain_delay": "0s", "drain_timeout": "1s"},
            }
        )
        names, told = Names("mixed"), Tolerant()
        service = await start_worker(stack, config, directory, names, told)
        write_rendered(config, directory, [service], missing={"anthropic/no-key"})
        envoy = await stack.enter_async_context(Envoy(directory))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        client = Client(session, f"http://127.0.0.1:{envoy.port('egress')}")
        yield Plane(client, names, told, *providers)


@pytest.fixture
def plane(running_plane: Plane) -> Plane:
    running_plane.told.streams = 0
    running_plane.told.decisions.clear()
    for provider in running_plane.providers:
        provider.respond = answer_ok
        provider.received.clear()
    return running_plane


def keys(provider: Provider) -> dict[str, str]:
    """Every credential that the provider's last request came with."""
    return {name.lower(): value for name, value in provider.last.headers.items() if "sk-" in value}


@pytest.mark.parametrize("path", [MESSAGES, COUNT_TOKENS])
async def test_a_messages_request_goes_to_the_first_model_of_the_pool_that_takes_it(plane: Plane, path: str) -> None:
    reply = await plane.post(path)
    assert (reply.status, plane.attempts) == (200, [0, 1, 0])
    assert reply.headers["x-router-model"] == "anthropic/claude"
    assert plane.claude.last.path == path.replace("/v1", "/a/v1")
    assert json.loads(plane.claude.last.body)["model"] == "claude"
    assert [decision.upstream for decision in plane.told.decisions] == ["pool/mixed~1.2"]


async def test_a_responses_request_leaves_out_the_model_between(plane: Plane) -> None:
    plane.openai.respond = answers(429)
    reply = await plane.post(RESPONSES)
    assert (reply.status, plane.attempts) == (200, [1, 0, 1])
    assert reply.headers["x-router-served-by"] == "openrouter/x/y"
    assert plane.router.last.path == "/api/v1/responses"
    assert json.loads(plane.router.last.body) == {"model": "x/y", "input": "hi"}


async def test_a_chat_request_has_the_whole_pool(plane: Plane) -> None:
    plane.openai.respond = plane.claude.respond = answers(503)
    assert (await plane.post(CHAT)).headers["x-router-served-by"] == "openrouter/x/y"
    assert plane.attempts == [1, 1, 1]


async def test_a_later_attempt_at_messages_has_its_own_path_key_and_model(plane: Plane) -> None:
    plane.claude.respond = answers(529)
    reply = await plane.post(MESSAGES)
    assert (reply.headers["x-router-served-by"], plane.attempts) == ("openrouter/x/y", [0, 1, 1])
    assert plane.router.last.path == "/api/v1/messages"
    assert json.loads(plane.router.last.body) == {"model": "x/y", "messages": TURNS}
    assert keys(plane.claude) == {"x-api-key": "sk-claude"}
    assert keys(plane.router) == {"authorization": "Bearer sk-router"}
    assert plane.told.streams == 2  # the decision, and the edit of the body for the later attempt


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(MESSAGES, {"x-api-key": "sk-claude"}, id="messages"),
        pytest.param(COUNT_TOKENS, {"x-api-key": "sk-claude"}, id="counting tokens"),
        pytest.param(CHAT, {"authorization": "Bearer sk-claude"}, id="chat"),
        pytest.param("/v1/embeddings", {"authorization": "Bearer sk-claude"}, id="embeddings"),
    ],
)
async def test_anthropic_gets_its_key_where_each_path_wants_it_and_none_of_the_clients(
    plane: Plane, path: str, expected: dict[str, str]
) -> None:
    assert (await plane.post(path, "anthropic/claude")).status == 200
    assert keys(plane.claude) == expected


async def test_a_passed_on_credential_arrives_as_the_client_sent_it(plane: Plane) -> None:
    assert (await plane.post(MESSAGES, "anthropic/own")).status == 200
    assert keys(plane.claude) == {"x-api-key": "sk-client", "authorization": "Bearer sk-client"}


async def test_the_version_is_the_clients_or_else_the_only_one_there_is(plane: Plane) -> None:
    await plane.post(MESSAGES, "anthropic/claude")
    assert plane.claude.last.headers.getall("anthropic-version") == ["2023-06-01"]
    await plane.post(MESSAGES, "anthropic/claude", anthropic_version="2030-01-01", anthropic_beta="new")
    assert plane.claude.last.headers.getall("anthropic-version") == ["2030-01-01"]
    assert plane.claude.last.headers["anthropic-beta"] == "new"
    await plane.post(CHAT, "anthropic/claude")
    assert "anthropic-version" not in plane.claude.last.headers


def anthropic_error(reply: Reply) -> tuple[int, object, object]:
    """Status, type and code of an error in Anthropic's shape."""
    assert reply.headers["content-type"] == "application/json"
    document = json.loads(reply.body)
    assert (list(document), document["type"]) == (["type", "error"], "error")
    return reply.status, document["error"]["type"], document["error"]["details"]["error_code"]


@pytest.mark.parametrize("path", [MESSAGES, COUNT_TOKENS, f"{MESSAGES}?beta=true"])
async def test_a_provider_that_cannot_be_reached_is_told_to_an_anthropic_client_in_its_shape(
    plane: Plane, path: str
) -> None:
    reply = await plane.post(path, "anthropic/down")
    assert anthropic_error(reply) == (503, "api_error", "upstream_unavailable")


async def test_a_missing_key_is_told_to_an_anthropic_client_in_its_shape(plane: Plane) -> None:
    reply = await plane.post(MESSAGES, "anthropic/no-key")
    assert anthropic_error(reply) == (503, "api_error", "provider_key_missing")


async def test_the_same_provider_is_told_to_an_openai_client_in_its_own(plane: Plane) -> None:
    assert (await plane.post(CHAT, "anthropic/down")).error["code"] == "upstream_unavailable"


@pytest.mark.parametrize(
    ("path", "headers", "to_anthropic"),
    [
        pytest.param(MESSAGES, {}, True, id="Anthropic's path"),
        pytest.param(CHAT, {"anthropic_version": "2023-06-01"}, True, id="Anthropic's header"),
        pytest.param(RESPONSES, {}, False, id="OpenAI's path"),
    ],
)
async def test_a_body_that_envoy_refuses_is_refused_in_the_clients_shape(
    plane: Plane, path: str, headers: dict[str, str], to_anthropic: bool
) -> None:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    reply = await plane.client.post(path=path, body=b" " * (33 * 2**20), headers=sent)
    assert reply.status == 413
    if to_anthropic:
        assert anthropic_error(reply) == (413, "request_too_large", "body_too_large")
    else:
        assert reply.error["code"] == "body_too_large"


async def test_a_model_of_another_api_is_refused_in_the_clients_shape(plane: Plane) -> None:
    reply = await plane.post(MESSAGES, "openai/gpt")
    assert anthropic_error(reply) == (400, "invalid_request_error", "unsupported_api")
    assert (await plane.post(RESPONSES, "anthropic/claude")).error["code"] == "unsupported_api"
    assert plane.attempts == [0, 0, 0]
