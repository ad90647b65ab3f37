"""What `make run` starts, and programs that speak Anthropic Messages and OpenAI Responses, with the SDKs of both."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator

import anthropic
import openai
import pytest
from anthropic.types import Message, MessageParam

from tests.e2e.commands import COMMAND, ROOT
from tests.support.processes import Child

POEM = "Write a short poem about the sea in autumn"
CODE = "Write a Python function that parses a CSV file into dictionaries"


def says(text: str) -> list[MessageParam]:
    return [{"role": "user", "content": text}]


def text_of(message: Message) -> str:
    [block] = message.content
    assert block.type == "text"
    return block.text


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Without a key in the environment: the demo providers answer."""
    up = Child([COMMAND, "up", ROOT / "examples/demo.yaml", "--port", "0"], env={"PATH": os.environ["PATH"]})
    try:
        line = up.stdout.wait_for(lambda line: line.strip().startswith("requests"))
        found = re.search(r"(http\S+)/v1", line)
        assert found is not None
        yield found[1]
    finally:
        assert up.stop() == 0, "".join(up.stderr.seen)


@pytest.fixture
def claude(url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=url, api_key="sk-client", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_claude(url: str) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-client", max_retries=0) as client:
        yield client


@pytest.fixture
def gpt(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="sk-client", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_gpt(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-client", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "creative-model"])
def test_a_named_model_answers_a_message_with_its_own_key(claude: anthropic.Anthropic, model: str) -> None:
    answer = claude.messages.create(model=model, max_tokens=100, system="be kind", messages=says("Hello!"))
    assert text_of(answer) == (
        'demo provider "anthropic" · model claude-sonnet-4-5 · path /v1/messages · key demo…ic (x-api-key)'
    )
    assert answer.model == "claude-sonnet-4-5"


@pytest.mark.parametrize(("prompt", "route"), [(POEM, "creative writing"), (CODE, "code generation")])
def test_a_message_without_a_model_goes_by_what_it_is_about(
    claude: anthropic.Anthropic, prompt: str, route: str
) -> None:
    raw = claude.messages.with_raw_response.create(model="auto", max_tokens=100, messages=says(prompt))
    assert (raw.headers["x-router-route"], raw.headers["x-router-model"]) == (route, "anthropic/claude-sonnet-4-5")
    assert raw.parse().model == "claude-sonnet-4-5"


def test_a_message_streams(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(model="creative-model", max_tokens=100, messages=says("Hello!")) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()
    assert len(pieces) > 5
    assert text_of(answer) == "".join(pieces)
    assert answer.stop_reason == "end_turn"


async def test_the_async_client_asks_and_streams_too(async_claude: anthropic.AsyncAnthropic) -> None:
    whole = await async_claude.messages.create(model="creative-model", max_tokens=100, messages=says("Hello!"))
    async with async_claude.messages.stream(model="auto", max_tokens=100, messages=says(POEM)) as stream:
        streamed = await stream.get_final_message()
    assert text_of(streamed) == text_of(whole)


def test_tokens_are_counted_by_the_model_that_would_answer(claude: anthropic.Anthropic) -> None:
    counted = claude.messages.count_tokens(model="auto", messages=says(POEM))
    assert counted.input_tokens == len(POEM.split())


def test_an_unknown_model_is_a_not_found_error(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as unknown:
        claude.messages.create(model="claude-sonnet-4-6", max_tokens=100, messages=says("Hello!"))
    assert (unknown.value.type, unknown.value.error_code) == ("not_found_error", "model_not_found")
    assert "claude-sonnet-4-5" in (unknown.value.api_message or "")


def test_a_model_that_takes_no_messages_is_a_bad_request_that_names_one_that_does(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as refused:
        claude.messages.create(model="openai/gpt-5.2", max_tokens=100, messages=says("Hello!"))
    assert (refused.value.type, refused.value.error_code) == ("invalid_request_error", "unsupported_api")
    assert refused.value.api_message == (
        "openai/gpt-5.2 does not take requests to /v1/messages: name a model that does in 'model' "
        "(anthropic/claude-sonnet-4-5); openai/gpt-5.2 can be asked at /v1/chat/completions."
    )


def test_wrong_types_and_unknown_paths_are_the_sdks_own_errors(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"messages: expected `array`, got `str`"):
        claude.messages.create(model="auto", max_tokens=100, messages="Hello!")  # type: ignore[arg-type]
    with pytest.raises(anthropic.NotFoundError, match="There is no /v1/messages/batches here"):
        claude.messages.batches.list()


def test_a_body_of_33_mib_is_refused_in_anthropics_words(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError) as refused:
        claude.messages.create(model="creative-model", max_tokens=100, messages=says("x" * (33 * 2**20)))
    assert (refused.value.status_code, refused.value.error_code) == (413, "body_too_large")


def test_models_are_listed_to_the_anthropic_sdk(claude: anthropic.Anthropic) -> None:
    listed = [model.id for model in claude.models.list()]
    assert listed[:1] == ["auto"]
    assert "anthropic/claude-sonnet-4-5" in listed
    shown = claude.models.retrieve("anthropic/claude-sonnet-4-5")
    assert (shown.type, shown.display_name, shown.created_at.year) == ("model", "anthropic/claude-sonnet-4-5", 1970)


@pytest.mark.parametrize("model", ["openai/gpt-5.2", "fast-model"])
def test_a_named_model_answers_a_responses_request(gpt: openai.OpenAI, model: str) -> None:
    answer = gpt.responses.create(model=model, input="Hello!", instructions="be kind")
    assert answer.output_text == (
        'demo provider "openai" · model gpt-5.2 · path /v1/responses · key demo…ai (Authorization)'
    )


def test_a_responses_request_goes_by_what_it_is_about_to_a_model_that_takes_it(gpt: openai.OpenAI) -> None:
    raw = gpt.responses.with_raw_response.create(model="auto", input=[{"role": "user", "content": POEM}])
    assert raw.headers["x-router-route"] == "creative writing"
    assert raw.headers["x-router-model"] == "openai/gpt-5.2"  # anthropic/claude-sonnet-4-5 comes first, and is left out


def test_a_response_streams(gpt: openai.OpenAI) -> None:
    with gpt.responses.stream(model="auto", input=CODE) as stream:
        kinds = [event.type for event in stream]
        answer = stream.get_final_response()
    assert kinds.count("response.output_text.delta") > 5
    assert kinds[-1] == "response.completed"
    assert answer.output_text.startswith('demo provider "openai" · model gpt-5 ·')


async def test_the_async_client_streams_a_response_too(async_gpt: openai.AsyncOpenAI) -> None:
    stream = await async_gpt.responses.create(model="auto", input=CODE, stream=True)
    kinds = [event.type async for event in stream]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


def test_the_openai_sdk_raises_its_own_errors_for_responses(gpt: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        gpt.responses.create(model="creative-model", input="Hello!")
    assert (refused.value.code, refused.value.param) == ("unsupported_api", "model")
    with pytest.raises(openai.NotFoundError):
        gpt.responses.create(model="gpt-6", input="Hello!")
    with pytest.raises(openai.BadRequestError) as bad:
        gpt.responses.create(model="auto", input=7)  # type: ignore[call-overload]
    assert bad.value.param == "input"
