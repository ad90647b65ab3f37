"""Every provider of the table: what arrives at a TLS server that has a certificate for that provider's name alone.

The names are public ones, so the addresses of the rendered clusters are replaced by local ones; what Envoy says in the
handshake, demands of the certificate and sends over the connection is as rendered. A real worker chooses the model.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import pytest
import pytest_asyncio
import trustme

from router_service.config.load import loads
from router_service.config.providers import KNOWN, endpoint
from router_service.dataplane.clusters import provider_cluster_name
from tests.contract.conftest import Client, server_tls
from tests.support.envoy import Envoy, write_rendered
from tests.support.providers import Provider, Received
from tests.support.worker import Counts, Names, start_worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS_KEY = "sk-the-clients-own"
CHAT = "/v1/chat/completions"
BIG = 2**63 - 1  # what a parser that prints again would change
NO_KEY = {"authorization": None, "api-key": None, "x-api-key": None}
CLIENTS_OWN = {"authorization": f"Bearer {CLIENTS_KEY}", "api-key": CLIENTS_KEY, "x-api-key": CLIENTS_KEY}


@dataclass(frozen=True, slots=True)
class Case:
    """An entry of the file, and what a request for its model must look like where it arrives.

    `asked` is the client's path. `keys` are credentials by their headers; None says that there must be none.
    """

    model: str
    host: str
    path: str
    keys: Mapping[str, str | None]
    entry: Mapping[str, object] = field(default_factory=dict)
    server: str = "any name"
    asked: str = CHAT

    @property
    def named(self) -> str:
        """What a client writes."""
        return self.model.replace("*", "org/some-model")


def bearer(key: str) -> dict[str, str | None]:
    return {**NO_KEY, "authorization": f"Bearer {key}"}


def known(model: str, host: str, path: str = CHAT) -> Case:
    """A provider whose address and prefix the table has: the file gives a key and no more."""
    return Case(model, host, path, bearer(f"sk-of-{model}"), {"access_key": f"sk-of-{model}"})


CASES = [
    known("openai/gpt-5.2", "api.openai.com"),
    known("anthropic/claude-sonnet-4-5", "api.anthropic.com"),
    Case(
        "anthropic/claude-sonnet-4-5",
        "api.anthropic.com",
        "/v1/messages",
        {**NO_KEY, "x-api-key": "sk-of-anthropic/claude-sonnet-4-5", "anthropic-version": "2023-06-01"},
        {"access_key": "sk-of-anthropic/claude-sonnet-4-5"},
        asked="/v1/messages",
    ),
    known("gemini/gemini-2.5-flash", "generativelanguage.googleapis.com", "/v1beta/openai/chat/completions"),
    known("google/gemini-2.5-pro", "generativelanguage.googleapis.com", "/v1beta/openai/chat/completions"),
    known("groq/llama-3.3-70b-versatile", "api.groq.com", "/openai/v1/chat/completions"),
    known("mistral/mistral-large-latest", "api.mistral.ai"),
    known("deepseek/deepseek-chat", "api.deepseek.com"),
    known("xai/grok-4", "api.x.ai"),
    known("moonshotai/kimi-k2", "api.moonshot.ai"),
    known("together_ai/openai/gpt-oss-20b", "api.together.xyz"),
    known("openrouter/meta-llama/llama-3.3-70b-instruct", "openrouter.ai", "/api/v1/chat/completions"),
    known("zhipu/glm-4.6", "open.bigmodel.cn", "/api/paas/v4/chat/completions"),
    known("digitalocean/llama3.3-70b-instruct", "inference.do-ai.run"),
    known("vercel/openai/gpt-5-mini", "ai-gateway.vercel.sh"),
    Case(
        "azure_openai/gpt-4o",
        "my-resource.openai.azure.com",
        "/openai/deployments/gpt-4o/chat/completions?api-version=2025-01-01-preview",
        {**NO_KEY, "api-key": "sk-azure"},
        {"base_url": "https://my-resource.openai.azure.com", "access_key": "sk-azure"},
    ),
    Case(
        "azure_openai/gpt-4o-eu",
        "my-resource.openai.azure.com",
        "/openai/deployments/europe/chat/completions?api-version=2024-10-21",
        {**NO_KEY, "api-key": "sk-azure-eu"},
        {
            "base_url": "https://my-resource.openai.azure.com/openai/deployments/europe?api-version=2024-10-21",
            "access_key": "sk-azure-eu",
        },
    ),
    Case(
        "qwen/qwen-plus",
        "dashscope-intl.aliyuncs.com",
        "/compatible-mode/v1/chat/completions",
        bearer("sk-qwen"),
        {"base_url": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "access_key": "sk-qwen"},
    ),
    Case("ollama/llama3.1", "ollama.internal", CHAT, NO_KEY, {"base_url": "https://ollama.internal"}),
    Case(
        "vllm/Qwen/Qwen3-8B",
        "vllm.internal:8443",
        CHAT,
        bearer("sk-vllm"),
        {"base_url": "https://vllm.internal:8443", "access_key": "sk-vllm"},
    ),
    Case(
        "vllm/second",
        "vllm.internal:9443",
        CHAT,
        bearer("sk-second"),
        {"base_url": "https://vllm.internal:9443", "access_key": "sk-second"},
        server="other port",
    ),
    Case(
        "litellm/*",
        "litellm.internal",
        "/proxy/chat/completions",
        CLIENTS_OWN,
        {"base_url": "https://litellm.internal/proxy", "passthrough_auth": True},
    ),
    Case(
        "inhouse/assistant",
        "llm.internal",
        "/llm/v1/chat/completions",
        {**bearer("sk-inhouse"), "x-team": "search", "x-gateway-key": "sk-gateway"},
        {
            "base_url": "https://10.0.0.7:8443/llm/v1",
            "http_host": "llm.internal",
            "access_key": "sk-inhouse",
            "headers": {"X-Team": "search", "X-Gateway-Key": "sk-gateway"},
        },
    ),
    Case(
        "six/assistant",
        "[fd00::7]:8443",
        CHAT,
        bearer("sk-six"),
        {"base_url": "https://[fd00::7]:8443", "access_key": "sk-six"},
        server="an address",
    ),
]
IMPOSTER = {"model": "imposter/model", "base_url": "https://imposter.test", "access_key": "sk-imposter"}


@dataclass(frozen=True, slots=True)
class Plane:
    envoy: Envoy
    client: Client
    servers: Mapping[str, Provider]

    def received(self) -> list[Received]:
        """What arrived anywhere since last asked."""
        found = [received for server in self.servers.values() for received in server.received]
        for server in self.servers.values():
            server.received.clear()
        return found


def certificates_by_name(authority: trustme.CA, names: Iterable[str]) -> ssl.SSLContext:
    """A server that shows the certificate for the name that the client says (SNI), and for no other name than that."""
    contexts = {name: server_tls(authority, name) for name in names}
    somebody_else = server_tls(authority, "somebody-else.test")

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        connection.context = contexts.get(name or "", somebody_else)

    somebody_else.sni_callback = choose
    return somebody_else


def lead_to_loopback(files: dict[str, str], ports: Mapping[str, int]) -> None:
    """Put the address 127.0.0.1:port in place of the cluster's own; `ports` by the cluster's name."""
    discovery = json.loads(files["cds.json"])
    clusters = {cluster["name"]: cluster for cluster in discovery["resources"]}
    for name, port in ports.items():
        clusters[name].pop("cluster_type", None)
        clusters[name]["type"] = "STATIC"
        [endpoint] = clusters[name]["load_assignment"]["endpoints"][0]["lb_endpoints"]
        endpoint["endpoint"]["address"] = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    files["cds.json"] = json.dumps(discovery)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    directory = tmp_path_factory.mktemp("known")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    names = {case.host.partition(":")[0] for case in CASES if case.server != "an address"}
    entries = {case.model: {"model": case.model, **case.entry} for case in CASES}
    document = {
        "listeners": [{"name": "egress", "address": "127.0.0.1"}],
        "model_providers": [*entries.values(), IMPOSTER],
        "service": {"drain_delay": "0s", "drain_timeout": "1s"},
    }
    config = loads(json.dumps(document), {}).config
    async with AsyncExitStack() as stack:
        servers = {
            name: await stack.enter_async_context(Provider(tls=tls))
            for name, tls in {
                "any name": certificates_by_name(authority, names),
                "other port": certificates_by_name(authority, names),
                "an address": server_tls(authority, "fd00::7"),
            }.items()
        }
        where = {case.model: case.server for case in CASES}
        ports = {
            provider_cluster_name(endpoint(entry)): servers[where.get(entry.model, "any name")].port
            for entry in config.model_providers
        }
        worker = await start_worker(stack, config, directory, Names(""), Counts())
        write_rendered(
            config,
            directory,
            [worker],
            ca_file=str(directory / "ca.pem"),
            edit=lambda files: lead_to_loopback(files, ports),
        )
        envoy = await stack.enter_async_context(Envoy(directory))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Plane(envoy, Client(session, f"http://127.0.0.1:{envoy.port('egress')}"), servers)


async def test_every_provider_of_the_table_has_a_case() -> None:
    assert set(KNOWN) <= {case.model.partition("/")[0] for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.model} {case.asked}")
async def test_a_request_arrives_as_the_provider_wants_it(plane: Plane, case: Case) -> None:
    body = (
        f'{{"model": "{case.named}", "max_tokens": 9, "messages": [{{"role": "user", "content": "é"}}], "seed": {BIG}}}'
    )
    reply = await plane.client.post(path=case.asked, body=body.encode(), headers=CLIENTS_OWN)
    assert (reply.status, reply.headers["x-router-served-by"]) == (200, case.named)
    assert [len(server.received) for name, server in plane.servers.items() if name == case.server] == [1]
    [seen] = plane.received()
    assert (seen.method, seen.headers["host"], seen.path) == ("POST", case.host, case.path)
    assert {name: seen.headers.get(name) for name in case.keys} == case.keys
    model_id = case.named.partition("/")[2]
    assert seen.body.decode() == body.replace(f'"{case.named}"', f'"{model_id}"')


async def test_a_certificate_for_another_name_is_refused_and_nothing_is_said_to_it(plane: Plane) -> None:
    body = {"model": IMPOSTER["model"], "messages": [{"role": "user", "content": "hi"}]}
    reply = await plane.client.post(body=json.dumps(body).encode())
    assert (reply.status, reply.error["code"]) == (503, "upstream_unavailable")
    line = await asyncio.to_thread(plane.envoy.access_log.wait_for, lambda line: '"event":"failed attempt"' in line)
    assert "certificate_verify_failed" in json.loads(line)["failure"].lower()
    assert plane.received() == []
