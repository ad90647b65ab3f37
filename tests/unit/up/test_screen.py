"""What `up` prints: everything a newcomer needs to paste, and only what this configuration can do."""

import json
import shlex
from pathlib import Path
from typing import cast

import pytest

from router_service.config.environment import Unread
from router_service.config.load import loads
from router_service.config.service import TcpAddress
from router_service.routing.catalog import Catalog
from router_service.telemetry.console import painter
from router_service.up.arrange import arrange
from router_service.up.screen import Running, banner, curl, last_lines, provider_lines, requests
from tests.unit.up.test_arrange import DEMO, OPENAI

PLAIN = painter(False)
LISTENER = TcpAddress("localhost", 10000)
RUNNING = Running(
    listener=LISTENER,
    admin=TcpAddress("localhost", 9902),
    envoy_admin=TcpAddress("127.0.0.1", 9901),
    envoy_log=Path("/tmp/router-service-x/envoy.log"),
)


def catalog(text: str = DEMO) -> Catalog:
    return loads(text, Unread()).catalog


def test_a_stand_in_is_announced_with_the_variable_that_ends_it() -> None:
    assert provider_lines(arrange(loads(DEMO, {})), PLAIN) == [
        "  openai       a local demo provider stands in: OPENAI_API_KEY is not set",
        "  anthropic    a local demo provider stands in: ANTHROPIC_API_KEY is not set",
    ]


def test_a_real_provider_is_announced_with_its_host() -> None:
    text = (
        "model_providers: [{model: openai/x, access_key: $OPENAI_API_KEY}, {model: vllm/y, base_url: 'http://v:8000'}]"
    )

    assert provider_lines(arrange(loads(text, OPENAI)), PLAIN) == [
        "  openai       api.openai.com",
        "  vllm         v:8000",
    ]


def test_a_provider_left_out_is_announced_with_its_consequences() -> None:
    assert provider_lines(arrange(loads(DEMO, OPENAI)), PLAIN)[:3] == [
        "  openai       api.openai.com",
        "  anthropic    left out: ANTHROPIC_API_KEY is not set",
        '               preference "creative writing" is left out: none of its models has a key',
    ]


def test_the_banner_says_where_everything_is() -> None:
    text = banner(RUNNING, catalog(), PLAIN)

    for part in (
        "Ready.",
        "http://localhost:10000/v1",
        "http://localhost:9902/metrics",
        "/tmp/router-service-x/envoy.log",
        "Ctrl-C stops everything",
    ):
        assert part in text


def test_there_is_a_request_for_each_way_of_routing_and_two_that_land_on_different_models() -> None:
    text = DEMO.replace("models: [anthropic/claude-sonnet-4-5]", "models: [openai/gpt-5.2]")
    asked = dict(requests(catalog(text)))

    assert [body["model"] for body in asked.values()] == ["openai/gpt-5.2", "fast", "auto", "auto"]
    assert list(asked) == [
        "by model",
        "by alias, here of openai/gpt-5.2",
        "by preference, here code generation",
        "by preference, here creative writing",
    ]


def test_a_preference_is_asked_for_with_its_first_example() -> None:
    text = DEMO.replace("description: poems", "examples: [write a poem about rain]\n    description: poems")
    text = text.replace("models: [anthropic/claude-sonnet-4-5]", "models: [openai/gpt-5.2]")
    (_, first), (_, second) = list(requests(catalog(text)))[2:]

    def prompt(body: dict[str, object]) -> str:
        return cast("list[dict[str, str]]", body["messages"])[0]["content"]

    assert prompt(first) == "generating new code snippets, functions, or boilerplate"
    assert prompt(second) == "write a poem about rain"


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        pytest.param("model_providers: [{model: openai/x}]", ["by model"], id="models only"),
        pytest.param("model_providers: [{model: groq/*}]", [], id="wildcards only"),
        pytest.param(
            "model_providers: [{model: openai/x}]\nmodel_aliases: {any: {target: auto}, x1: {target: x}}",
            ["by model", "by alias, here of openai/x"],
            id="an alias of auto is no example of an alias",
        ),
    ],
)
def test_a_way_that_the_file_does_not_have_is_not_shown(text: str, titles: list[str]) -> None:
    assert [title for title, _ in requests(catalog(text))] == titles


def test_a_request_survives_the_shell() -> None:
    body: dict[str, object] = {"model": "auto", "messages": [{"role": "user", "content": 'what\'s "new" in $HOME?\n'}]}
    words = shlex.split(curl(LISTENER, body).replace("\\\n", " "))

    assert words[:3] == ["curl", "-si", "http://localhost:10000/v1/chat/completions"]
    assert json.loads(words[-1]) == body


def test_the_end_of_a_log_is_its_last_lines() -> None:
    assert last_lines("one\ntwo\nthree\n", count=2) == "  two\n  three"
