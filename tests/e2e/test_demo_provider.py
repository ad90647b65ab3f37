"""The demo provider as it is installed, and the SDKs that real applications talk to it with."""

import re
import signal
from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.e2e.commands import running

KEY = "sk-demo-0123456789"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running("demo-provider", "--name", "groq") as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        found = re.fullmatch(r'demo provider "groq" listens on (http://127\.0\.0\.1:\d+)\n', said)
        assert found, said
        yield found[1]


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/openai/v1", api_key=KEY, max_retries=0) as client:
        yield client


def test_a_chat_completion_says_what_arrived(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="llama-3.3-70b", messages=[{"role": "user", "content": "hi there"}])

    assert answer.choices[0].message.content == (
        'demo provider "groq" · model llama-3.3-70b · path /openai/v1/chat/completions · key sk-d…89 (Authorization)'
    )
    assert answer.model == "llama-3.3-70b"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 13)


def test_a_chat_stream_arrives_in_pieces_and_ends_with_the_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="m",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)

    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(words).startswith('demo provider "groq" · model m')
    assert len(chunks) > 10
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 1


def test_a_completion_can_be_whole_or_streamed(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="m", prompt="once upon a time")
    streamed = client.completions.create(model="m", prompt="once upon a time", stream=True)

    assert "".join(chunk.choices[0].text for chunk in streamed) == whole.choices[0].text


def test_embeddings_are_read_by_the_sdk(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="m", input=["a", "b"])

    assert len(answer.data) == 2
    assert answer.data[0].embedding != answer.data[1].embedding


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["demo"]


def test_a_response_can_be_whole_or_streamed(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="m", input="hi")
    with client.responses.stream(model="m", input="hi") as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_response()

    assert whole.output_text.startswith('demo provider "groq" · model m · path /openai/v1/responses')
    assert streamed.output_text == whole.output_text


def test_a_message_can_be_whole_or_streamed(url: str) -> None:
    with anthropic.Anthropic(base_url=url, api_key=KEY, max_retries=0) as client:
        whole = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])
        with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream:
            streamed = stream.get_final_message()

    assert whole.content[0].type == "text"
    assert whole.content[0].text.startswith('demo provider "groq" · model m · path /v1/messages · key sk-d…89')
    assert streamed.content[0].type == "text"
    assert streamed.content[0].text == whole.content[0].text
    assert streamed.usage.output_tokens == whole.usage.output_tokens


def test_an_unknown_path_is_not_found_in_openai_shape(url: str) -> None:
    with (
        openai.OpenAI(base_url=f"{url}/nothing", api_key=KEY, max_retries=0) as client,
        pytest.raises(openai.NotFoundError, match='demo provider "groq" has no POST /nothing/images/generations'),
    ):
        client.images.generate(prompt="a cat", model="m")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told_to_and_quietly(stop: signal.Signals) -> None:
    with running("demo-provider") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(stop)
        out, err = process.communicate(timeout=10)

    assert (process.returncode, out, err) == (0, "", "")


def test_a_port_in_use_is_named_with_what_to_do(url: str) -> None:
    port = url.rpartition(":")[2]
    with running("demo-provider", "--port", port) as process:
        _, err = process.communicate(timeout=10)

    assert process.returncode == 2
    assert err == f"Cannot listen on 127.0.0.1:{port} (Address already in use); choose another --port.\n"
