"""The installed command, a real Envoy and OpenAI's own SDK: what a user's program meets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import openai
import pytest

from tests.e2e.conftest import Gateway
from tests.support.openai_provider import EVENTS

POEM = "Write a short poem about the sea in autumn"
CODE = "Write a Python function that parses a CSV file into dictionaries"


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.url, api_key="sk-client", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key="sk-client", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, model: str, text: str) -> tuple[str, dict[str, str]]:
    """The model that the provider says it is, and the response headers that explain the decision."""
    raw = client.chat.completions.with_raw_response.create(model=model, messages=[{"role": "user", "content": text}])
    names = ("x-router-model", "x-router-source", "x-router-route", "x-router-reason")
    return raw.parse().model, {name: raw.headers[name] for name in names if name in raw.headers}


def test_a_named_model_serves(client: openai.OpenAI) -> None:
    assert ask(client, "alpha/small", "Hello") == (
        "small",
        {"x-router-model": "alpha/small", "x-router-source": "model", "x-router-reason": "requested"},
    )


def test_an_alias_serves_its_model(client: openai.OpenAI) -> None:
    assert ask(client, "fast", "Hello") == (
        "small",
        {
            "x-router-model": "alpha/small",
            "x-router-source": "alias",
            "x-router-route": "fast",
            "x-router-reason": "requested",
        },
    )


def test_a_poem_and_code_land_on_different_models(client: openai.OpenAI) -> None:
    poem, why_poem = ask(client, "auto", POEM)
    code, why_code = ask(client, "auto", CODE)
    assert (poem, why_poem["x-router-route"]) == ("writer", "creative writing")
    assert (code, why_code["x-router-route"]) == ("coder", "code generation")
    assert why_poem["x-router-source"] == why_code["x-router-source"] == "preference"


def test_the_provider_sees_its_own_key_and_not_the_clients(client: openai.OpenAI, gateway: Gateway) -> None:
    ask(client, "alpha/small", "Hello")
    seen = gateway.alpha.received[-1]
    assert seen.headers["authorization"] == "Bearer sk-alpha"
    assert "sk-client" not in json.dumps(dict(seen.headers))
    assert not [name for name in seen.headers if name.startswith(("x-router-", "x-envoy-"))]


def test_passthrough_auth_sends_the_clients_own_key(client: openai.OpenAI, gateway: Gateway) -> None:
    ask(client, "beta/coder", "Hello")
    assert gateway.beta.received[-1].headers["authorization"] == "Bearer sk-client"


def test_a_client_cannot_choose_its_cluster(client: openai.OpenAI, gateway: Gateway) -> None:
    forged = {"x-router-upstream": "model/beta/coder", "x-router-model": "beta/coder"}
    served = client.chat.completions.create(
        model="alpha/small", messages=[{"role": "user", "content": "Hello"}], extra_headers=forged
    )
    assert served.model == "small"
    assert gateway.alpha.received[-1].json["model"] == "small"


def test_each_streamed_event_arrives_when_it_was_sent(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.alpha.allow_event()
    with client.chat.completions.create(
        model="alpha/small", messages=[{"role": "user", "content": "Count"}], stream=True
    ) as stream:
        seen = []
        for chunk in stream:
            seen.append(chunk.choices[0].delta.content)
            gateway.alpha.allow_event()  # the next event is not sent before this one is here
    assert seen == [f"{number} " for number in range(EVENTS)]


async def test_the_async_client_streams_too(async_client: openai.AsyncOpenAI, gateway: Gateway) -> None:
    gateway.alpha.allow_event()
    stream = await async_client.chat.completions.create(
        model="fast", messages=[{"role": "user", "content": "Count"}], stream=True
    )
    seen = []
    async for chunk in stream:
        seen.append(chunk.choices[0].delta.content)
        gateway.alpha.allow_event()
    assert len(seen) == EVENTS


def test_embeddings_are_routed_by_name(client: openai.OpenAI) -> None:
    served = client.embeddings.create(model="fast", input="x", encoding_format="float")
    assert (served.model, served.data[0].embedding) == ("small", [0.25, -0.5])


def test_models_lists_what_can_be_asked_for(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["auto", "fast", "alpha/small", "alpha/writer", "beta/coder"]
    assert client.models.retrieve("alpha/small").owned_by == "alpha"


def test_the_sdk_raises_its_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        ask(client, "alpha/smal", "Hello")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert "alpha/small" in unknown.value.message
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="auto", messages="Hello")  # type: ignore[arg-type]
    assert bad.value.param == "messages"


def test_a_body_of_20_mib_is_routed_and_one_of_33_mib_is_refused(client: openai.OpenAI, gateway: Gateway) -> None:
    ask(client, "alpha/small", "x" * (20 * 2**20))
    assert len(gateway.alpha.received[-1].body) > 20 * 2**20
    with pytest.raises(openai.APIStatusError) as refused:
        ask(client, "alpha/small", "x" * (33 * 2**20))
    assert (refused.value.status_code, refused.value.code) == (413, "body_too_large")


def test_a_providers_error_reaches_the_client_as_it_is(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.alpha.status = 400
    try:
        with pytest.raises(openai.BadRequestError, match="told to fail"):
            ask(client, "alpha/small", "Hello")
    finally:
        gateway.alpha.status = 200
