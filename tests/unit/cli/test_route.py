"""The command that explains one decision: what it reads, what it prints, and what it exits with."""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from router_service.classify import Classifier
from router_service.classify.chain import Chain, Meter
from router_service.classify.facts import Facts
from router_service.classify.model_server import ServedModel
from router_service.classify.watch import Watcher
from router_service.cli import route as command
from router_service.cli.route_report import WHY
from router_service.config.load import Loaded
from router_service.errors import SetupError
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.decision import Classification, Context, Reason
from tests.unit.classify.fakes import FakeClassifier

CONFIG = """\
model_providers:
- {model: ollama/small, base_url: 'http://127.0.0.1:1', default: true}
- {model: ollama/large, base_url: 'http://127.0.0.1:1'}
model_aliases: {fast: {target: small}, choose: {target: auto}}
routing_preferences:
- {name: code review, description: reading code that is already there, models: [large, small]}
- {name: poetry, description: poems and songs of every kind, models: [small]}
router: {backend: vllm, url: 'http://127.0.0.1:8000', min_confidence: 0.4}
"""
SERVED = (ServedModel("Arch-Router"),)
FACTS = Facts(
    SERVED, serves_model=True, version="0.32.0", first_guess_tokens=1, constrained=True, weighs=True,
    special_tokens=frozenset({"<|im_end|>"}),
)  # fmt: skip
MATCHED = Classification(
    Reason.MATCHED,
    route="code review",
    confidence=0.875,
    scores={"code review": 0.875, "poetry": 0.03},
    backend="vllm",
    latency_s=0.012,
)
REFUSED = Classification(Reason.CLASSIFIER_ERROR, backend="vllm", latency_s=0.002)
EMBEDDED = Classification(
    Reason.NO_ROUTE, confidence=0.2, scores={"code review": 0.1, "poetry": 0.2}, backend="embedded"
)


class Command:
    """`route` on CONFIG, with classifiers that give `answers` in turn and a model server as found."""

    def __init__(self, folder: Path, *answers: Classification, server: Facts | str = FACTS) -> None:
        self.folder = folder
        self.answers = answers
        self.server = server
        self.heard: list[Conversation] = []
        (folder / "config.yaml").write_text(CONFIG)

    def __call__(self, *arguments: str) -> int:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return command.route(parser.parse_args([str(self.folder / "config.yaml"), *arguments]), self.open)

    @asynccontextmanager
    async def open(self, loaded: Loaded, watcher: Watcher, meter: Meter) -> AsyncIterator[Classifier]:
        if isinstance(self.server, Facts):
            watcher.found("http://127.0.0.1:8000", self.server)
        else:
            watcher.lost("http://127.0.0.1:8000", self.server)
        heard = self.heard

        class Hearing(FakeClassifier):
            async def classify(self, conversation: Conversation) -> Classification:
                heard.append(conversation)
                return await super().classify(conversation)

        yield Chain([Hearing(answer, answer.backend) for answer in self.answers], timeout_s=60, meter=meter)


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """Standard output with every duration as `T`."""
    return re.sub(r"\d+\.\d m?s\b", "T", capsys.readouterr().out)


def test_a_match_shows_the_route_its_models_how_sure_it_is_and_who_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Command(tmp_path, MATCHED)("is this loop right?") == 0
    assert (
        printed(capsys)
        == """\
code review → ollama/large, then ollama/small

  why          matched: the conversation is about this preference
  confidence   0.88 (router.min_confidence 0.4)
  asked        vllm, T, matched
  server       http://127.0.0.1:8000: vLLM 0.32.0, answers held to the names, decided after 1 token

               preference     probability
               code review     0.88  █████████████████████
               none of these   0.09  ██
               poetry          0.03  █

  took         T; before it, once: configuration T · classifier ready T
"""
    )


@pytest.mark.parametrize(
    ("context", "told"),
    [
        (Context("poetry", 0.214), "  before       poetry, with a head start of 0.21 in its score\n"),
        (Context("poetry"), "  before       poetry\n"),
        (Context(), "  before       no preference\n"),
        (Context("poetry", ended=True), "  before       poetry; this turn asks for nothing more\n"),
    ],
)
def test_what_earlier_turns_did_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], context: Context, told: str
) -> None:
    assert Command(tmp_path, replace(EMBEDDED, context=context))("go on") == 0
    assert told in printed(capsys)


def test_scripts_are_told_what_earlier_turns_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Command(tmp_path, replace(EMBEDDED, context=Context("poetry", 0.2)))("go on", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["context"] == {"previous": "poetry", "head_start": 0.2, "ended": False}


def test_a_classifier_that_failed_is_shown_before_the_one_that_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Command(tmp_path, REFUSED, EMBEDDED, server="no connection (ClientConnectorError)")("hello") == 0
    assert (
        printed(capsys)
        == """\
default → ollama/small

  why          no_route: no preference fits
  confidence   0.20 (router.min_confidence 0.4)
  asked        vllm, T, classifier_error: the model server refused, reset the connection or answered an HTTP error
               embedded, T, no_route
  server       http://127.0.0.1:8000: not usable, no connection (ClientConnectorError)

               preference   score
               poetry        0.20  █████
               code review   0.10  ██

  took         T; before it, once: configuration T · classifier ready T
"""
    )


def test_an_alias_needs_no_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Command(tmp_path)("hello", "--model", "fast") == 0
    assert (
        printed(capsys)
        == """\
fast → ollama/small

  why          requested: the request names this alias

  took         configuration T
"""
    )


def test_an_alias_of_auto_is_classified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Command(tmp_path, MATCHED)("hello", "--model", "choose") == 0
    assert printed(capsys).startswith("code review → ")


def with_prices(folder: Path, selection_policy: str) -> Command:
    """The alias `both`, ordered by the policy, and a file of prices in which the second model is the cheaper."""
    command_ = Command(folder)
    alias = f"both: {{targets: [small, large], {selection_policy}}}, "
    config = CONFIG.replace("model_aliases: {", "model_aliases: {" + alias)
    (folder / "config.yaml").write_text(config + "model_metrics_sources: [{type: cost, file: prices.yaml}]\n")
    (folder / "prices.yaml").write_text("ollama/large: {input: 1, output: 3}\n")
    return command_


def test_the_cheapest_first_shows_every_price_and_how_old_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert with_prices(tmp_path, "selection_policy: {prefer: cheapest}")("hello", "--model", "both") == 0
    assert (
        printed(capsys)
        == """\
both → ollama/large, then ollama/small

  why          requested: the request names this alias
  cheapest     ollama/large  $1.5 per million tokens
               ollama/small  no price is known
               file, read 0 s ago

  took         configuration T · metrics sources T
"""
    )


def test_scripts_get_the_prices_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = with_prices(tmp_path, "selection_policy: {prefer: cheapest}")
    assert asked("hello", "--model", "both", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["models"] == ["ollama/large", "ollama/small"]
    [source] = shown["ranking"].pop("sources")
    assert (source["provider"], source["failure"], 0 <= source["age_s"] < 60) == ("file", None, True)
    assert shown["ranking"] == {
        "prefer": "cheapest",
        "models": [{"model": "ollama/large", "price": 1.5}, {"model": "ollama/small", "price": None}],
    }


def test_a_lot_is_drawn_without_reading_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = with_prices(tmp_path, "selection_policy: {prefer: random, weights: {small: 0}}")
    assert asked("hello", "--model", "both") == 0
    assert (
        printed(capsys)
        == """\
both → ollama/large, then ollama/small

  why          requested: the request names this alias
  random       ollama/large
               ollama/small

  took         configuration T
"""
    )


def test_scripts_get_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Command(tmp_path, REFUSED, MATCHED)("hello", "--json", "--show-prompt") == 0
    shown = json.loads(capsys.readouterr().out)
    times = [shown.pop("took_ms"), *(asked.pop("ms") for asked in shown["asked"])]
    assert list(times[0]) == ["configuration", "classifier ready", "classification"]
    prompts = shown.pop("prompts")
    assert list(prompts) == ["vllm"]
    assert shown == {
        "model": "ollama/large",
        "source": "preference",
        "reason": "matched",
        "route": "code review",
        "models": ["ollama/large", "ollama/small"],
        "ranking": None,
        "confidence": 0.875,
        "scores": {"code review": 0.875, "poetry": 0.03},
        "context": None,
        "classifier": "vllm",
        "failed": "classifier_error",
        "asked": [
            {"classifier": "vllm", "reason": "classifier_error"},
            {"classifier": "vllm", "reason": "matched"},
        ],
    }


def test_the_prompt_is_the_one_that_the_server_gets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Command(tmp_path, REFUSED, EMBEDDED)("stop <|im_end|> </s>", "--show-prompt") == 0
    out = capsys.readouterr().out
    assert "\n\n── what vllm reads, " in out
    assert '[{"role": "user", "content": "stop \\u003c|im_end|> </s>"}]' in out  # only the served tokenizer's
    assert out.endswith("\n\n── what embedded reads, 20 bytes ──\nstop <|im_end|> </s>\n")


MESSAGES = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "write a poem"},
    {"role": "assistant", "content": "Roses are red"},
    {"role": "user", "content": [{"type": "text", "text": "another"}]},
]
ITEMS = [*MESSAGES[:3], {"role": "user", "content": [{"type": "input_text", "text": "another"}]}]
TURNS = (Turn("user", "write a poem"), Turn("assistant", "Roses are red"), Turn("user", "another"))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(MESSAGES, id="a list of messages"),
        pytest.param({"messages": MESSAGES, "model": "auto", "stream": True}, id="a whole request"),
    ],
)
def test_a_conversation_comes_from_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    route = Command(tmp_path, MATCHED)
    (tmp_path / "conversation.json").write_text(json.dumps(content))
    assert route("--file", str(tmp_path / "conversation.json")) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(content).encode())))
    assert route("--file", "-") == 0
    assert route.heard == [Conversation(TURNS)] * 2


@pytest.mark.parametrize(
    ("api", "content"),
    [
        pytest.param(
            "messages",
            {"system": "be brief", "messages": MESSAGES[1:]},
            id="Anthropic Messages",
        ),
        pytest.param("responses", {"input": ITEMS}, id="OpenAI Responses"),
        pytest.param("responses", ITEMS, id="the items of Responses alone"),
    ],
)
def test_a_request_may_be_in_another_api(tmp_path: Path, api: str, content: object) -> None:
    route = Command(tmp_path, MATCHED)
    (tmp_path / "request.json").write_text(json.dumps(content))
    assert route("--api", api, "--file", str(tmp_path / "request.json")) == 0
    assert route.heard == [Conversation(TURNS)]


def test_a_model_that_does_not_take_the_api_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    route = Command(tmp_path, MATCHED)
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG.replace("ollama/large,", "ollama/large, apis: [chat],"))
    assert route("hello") == 0
    assert route("hello", "--api", "messages") == 0
    firsts = [line for line in capsys.readouterr().out.splitlines() if line.startswith("code review → ")]
    assert firsts == ["code review → ollama/large, then ollama/small", "code review → ollama/small"]


def test_a_request_that_names_its_model_is_routed_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "request.json").write_text(json.dumps({"model": "ollama/large", "messages": MESSAGES}))
    assert Command(tmp_path)("--file", str(tmp_path / "request.json")) == 0
    assert printed(capsys).startswith("ollama/large\n\n  why          requested: the request names this model\n")


@pytest.mark.parametrize(
    ("arguments", "content", "said"),
    [
        pytest.param(
            ["hello", "--model", "smal"], "", "404 model_not_found: The model 'smal' does not exist here.", id="model"
        ),
        pytest.param(["--file", "FILE"], "[5]", "400 invalid_request: messages[0]: expected", id="messages"),
        pytest.param(["--file", "FILE"], "{", "400 invalid_request: The body is not valid JSON", id="not JSON"),
    ],
)
def test_a_request_that_would_be_refused_is_refused_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], content: str, said: str
) -> None:
    file = tmp_path / "conversation.json"
    file.write_text(content)
    route = Command(tmp_path, MATCHED)
    assert route(*(str(file) if argument == "FILE" else argument for argument in arguments)) == 1
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [pytest.param(None, "cannot be read", id="no file"), pytest.param("{}", "has no messages", id="no messages")],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "conversation.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SetupError, match=said):
        Command(tmp_path)("--file", str(file))


@pytest.mark.parametrize(
    ("server", "said"),
    [
        pytest.param(
            Facts((ServedModel("llama"),), serves_model=False),
            "does not serve Arch-Router; it has llama (set router.model)",
            id="no model",
        ),
        pytest.param(Facts((), serves_model=True), "answers not held to the names, no confidence", id="no capability"),
    ],
)
def test_what_a_server_lacks_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: Facts, said: str
) -> None:
    assert Command(tmp_path, MATCHED, server=server)("hello") == 0
    assert f"  server       http://127.0.0.1:8000: {said}\n" in printed(capsys)


def test_every_reason_is_explained() -> None:
    assert set(WHY) == set(Reason)
