"""The command around the figures, with a classifier that looks for a route's name in the text."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router_service.classify import Classifier
from router_service.cli import eval as command
from router_service.config.load import Loaded
from router_service.errors import ConfigError, SetupError
from router_service.routing.conversation import Conversation
from router_service.routing.decision import Classification, Reason

ROUTES = """\
routing_preferences:
- name: debugging
  description: stack traces, error messages and failing tests
- name: translation
  description: texts in another language than the one they were written in
"""
CASES = """\
{"id": "1", "messages": [{"role": "user", "content": "debugging please"}], "expected": "debugging"}
{"id": "2", "messages": [{"role": "user", "content": "a translation"}], "expected": "translation", "topic": "other"}
{"id": "3", "messages": [{"role": "user", "content": "in French"}], "expected": "translation", "topic": "other"}
{"id": "4", "messages": [{"role": "user", "content": "hello"}], "expected": "other"}
"""
CONFIG = (
    "model_providers: [{model: openai/a, access_key: $KEY, default: true}]\n"
    "router: {backend: vllm, url: 'http://127.0.0.1:1'}\n"
) + ROUTES.replace("- name", "- models: [openai/a]\n  name")


class ByName:
    """`vllm` is the one that also knows French."""

    def __init__(self, names: list[str], backend: str, fallback: str) -> None:
        self.names = names
        self.backend = backend
        self.fallback = fallback
        self.closed = False

    async def classify(self, conversation: Conversation) -> Classification:
        text = conversation.turns[-1].content
        if self.backend == "vllm" and "French" in text:
            return Classification(Reason.MATCHED, "translation")
        named = next((name for name in self.names if name in text), None)
        return Classification(Reason.NO_ROUTE) if named is None else Classification(Reason.MATCHED, named)

    async def aclose(self) -> None:
        self.closed = True


class Run:
    """The command with files in `folder`; `opened` keeps what it classified with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.opened: list[ByName] = []

    def __call__(
        self, *arguments: str, cases: tuple[str, ...] = (CASES,), routes: str = ROUTES, given_as: str = "--routes"
    ) -> int:
        files = [self.folder / f"cases{number}.jsonl" for number, _ in enumerate(cases, start=1)]
        for path, text in zip(files, cases, strict=True):
            path.write_text(text, encoding="utf-8")
        (self.folder / "routes.yaml").write_text(routes, encoding="utf-8")
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        given = [*map(str, files), given_as, str(self.folder / "routes.yaml"), *arguments]
        return command.evaluate(parser.parse_args(given), self.open)

    @asynccontextmanager
    async def open(self, loaded: Loaded) -> AsyncIterator[Classifier]:
        names = [preference.name for preference in loaded.catalog.preferences]
        self.opened.append(ByName(names, loaded.config.router.backend, loaded.config.router.fallback))
        yield self.opened[-1]
        await self.opened[-1].aclose()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_the_report_is_printed_and_nothing_else(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("embedded: 4 cases, 2 routes\n\naccuracy")
    assert "`translation` is missed: 1 of its 2 cases" in printed.out
    assert printed.err == ""


def test_json_and_html_are_written(run: Run) -> None:
    assert run("--json", str(run.folder / "out.json"), "--html", str(run.folder / "out.html")) == 0
    figures = json.loads((run.folder / "out.json").read_text(encoding="utf-8"))
    assert (figures["accuracy"], figures["routes"]["translation"]["recall"]) == (0.75, 0.5)
    assert (run.folder / "out.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_backends_are_compared_on_the_same_cases(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run("--compare", "embedded,vllm", "--json", str(run.folder / "out.json"), routes=CONFIG, given_as="--config")
        == 0
    )
    assert "vllm against embedded: +25.0 points" in capsys.readouterr().out
    figures = json.loads((run.folder / "out.json").read_text(encoding="utf-8"))
    assert (figures["backend"], figures["accuracy"]) == ("embedded", 0.75)
    assert [(each["backend"], each["accuracy"], each["gain"]) for each in figures["compare"]] == [("vllm", 1.0, 0.25)]


def test_backends_are_compared_without_their_fallbacks_and_closed(run: Run) -> None:
    run("--compare", "embedded,vllm", routes=CONFIG, given_as="--config")
    assert [(each.backend, each.fallback, each.closed) for each in run.opened] == [
        ("embedded", "none", True),
        ("vllm", "none", True),
    ]


def test_a_configuration_is_measured_as_it_would_serve(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(routes=CONFIG, given_as="--config") == 0
    assert [(each.backend, each.fallback, each.closed) for each in run.opened] == [("vllm", "embedded", True)]
    assert "100.0%" in capsys.readouterr().out


def test_a_backend_without_an_address_cannot_be_compared(run: Run) -> None:
    with pytest.raises(SetupError, match=r"--compare vllm needs to know where it is: set router.url"):
        run("--compare", "embedded,vllm")


def test_several_files_are_read_as_one(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cases=(CASES, CASES)) == 0
    assert capsys.readouterr().out.startswith("embedded: 8 cases")


def test_another_field_can_be_the_label(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--label", "topic") == 0
    assert capsys.readouterr().out.startswith("embedded: 4 cases (2 labelled), 2 routes\n\naccuracy          50.0%")


@pytest.mark.parametrize(
    ("least", "code"), [("0.75", 0), ("75%", 0), ("0.76", 1)], ids=["reached", "reached in per cent", "not reached"]
)
def test_the_exit_code_says_whether_the_accuracy_is_reached(
    run: Run, capsys: pytest.CaptureFixture[str], least: str, code: int
) -> None:
    assert run("--min-accuracy", least) == code
    assert capsys.readouterr().err == ("The accuracy is 75.0%, below 76.0%.\n" if code else "")


def test_without_a_label_no_accuracy_is_reached(run: Run) -> None:
    unlabelled = '{"messages": [{"role": "user", "content": "x"}], "expected": null}\n'
    assert run("--min-accuracy", "0", cases=(unlabelled,)) == 1


def test_a_label_that_is_no_route_stops_before_anything_is_classified(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"cases1.jsonl:1: expected: 'debuging' \(1 case\) is not a route"):
        run(cases=(CASES.replace('"expected": "debugging"', '"expected": "debuging"'),))


def test_a_report_that_cannot_be_written_stops_before_anything_is_classified(run: Run) -> None:
    with pytest.raises(SetupError, match="there is no directory"):
        run("--json", str(run.folder / "none" / "out.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--compare", "embedded"], "name two backends or more, each once", id="one backend"),
        pytest.param(["--compare", "embedded,gpt"], "'gpt' is not a backend; there are embedded", id="no such backend"),
        pytest.param(["--min-accuracy", "88"], "'88' is not a share; write it like 0.85 or 85%", id="no share"),
        pytest.param(["--config", "x.yaml"], "not allowed with argument --routes", id="two sources of routes"),
    ],
)
def test_wrong_usage_is_told_and_exits_with_2(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        run(*arguments)
    assert raised.value.code == 2
    assert message in capsys.readouterr().err
