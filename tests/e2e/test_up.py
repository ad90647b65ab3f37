"""`router-service up` as it is installed: what a newcomer sees, pastes and stops."""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import cast
from urllib.request import Request, urlopen

import pytest

from tests.e2e.commands import running
from tests.support.ports import free_port

CONFIG = """
model_providers:
  - {model: openai/gpt-5.2, access_key: $OPENAI_API_KEY, default: true}
  - {model: anthropic/claude-sonnet-4-5, access_key: $ANTHROPIC_API_KEY}
model_aliases:
  creative-model: {target: claude-sonnet-4-5}
routing_preferences:
  - name: code generation
    description: generating new code snippets, functions, or boilerplate
    models: [anthropic/claude-sonnet-4-5]
    examples: [write a python function that reverses a string]
  - name: creative writing
    description: poems, stories and songs
    models: [openai/gpt-5.2]
    examples: [write a poem about the rain in autumn]
"""


@dataclass(frozen=True, slots=True)
class Up:
    """A running `up`, and what it printed until it was ready."""

    process: subprocess.Popen[str]
    text: str

    @property
    def url(self) -> str:
        return self._found(r"requests +(http://\S+)")

    @property
    def admin(self) -> str:
        return self._found(r"metrics +(http://\S+)/metrics")

    @property
    def directory(self) -> Path:
        return Path(self._found(r"its log is (\S+)\)")).parent

    def _found(self, pattern: str) -> str:
        match = re.search(pattern, self.text)
        assert match is not None, self.text
        return match[1]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def children(self) -> dict[str, int]:
        """The processes it started: name to pid."""
        pids = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {Path(f"/proc/{pid}/comm").read_text().strip(): int(pid) for pid in pids}


@contextmanager
def started(directory: Path, env: Mapping[str, str] | None = None) -> Iterator[Up]:
    file = directory / "config.yaml"
    file.write_text(CONFIG)
    with running("up", str(file), "--port", "0", env=env) as process:
        assert process.stdout is not None
        text = ""
        while "Decisions appear below" not in text:
            line = process.stdout.readline()
            assert line, text + process.communicate()[1]
            text += line
        assert process.stdout.readline() == "\n"
        yield Up(process, text)


@contextmanager
def ends(pids: Mapping[str, int]) -> Iterator[None]:
    """The processes run at the beginning of the block; at its end, wait for the end of each."""
    descriptors = [os.pidfd_open(pid) for pid in pids.values()]
    yield
    for descriptor in descriptors:
        readable, _, _ = select.select([descriptor], [], [], 30)
        os.close(descriptor)
        assert readable


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with started(tmp_path_factory.mktemp("up")) as up:
        yield up


def send(url: str, body: object | None = None) -> tuple[Mapping[str, str], dict[str, object]]:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"content-type": "application/json"})  # noqa: S310 always http
    with get(request) as response:
        return dict(response.headers), json.loads(response.read())


def get(request: Request | str) -> HTTPResponse:
    return cast(HTTPResponse, urlopen(request, timeout=30))  # noqa: S310 always http


def said(answer: dict[str, object]) -> str:
    match answer:
        case {"choices": [{"message": {"content": str(text)}}]}:
            return text
    raise AssertionError(answer)


def test_stand_ins_are_announced(up: Up) -> None:
    assert up.text.splitlines()[1:3] == [
        "  openai       a local demo provider stands in: OPENAI_API_KEY is not set",
        "  anthropic    a local demo provider stands in: ANTHROPIC_API_KEY is not set",
    ]


def test_nothing_is_coloured_where_there_is_no_terminal(up: Up) -> None:
    assert "\x1b" not in up.text


def test_every_request_it_prints_is_answered_and_its_headers_and_a_line_tell_why(up: Up) -> None:
    commands = re.findall(r"^curl .*\\\n.*$", up.text, flags=re.MULTILINE)
    seen = []
    for command in commands:
        _, _, url, _, _, _, body = shlex.split(command.replace("\\\n", " "))
        headers, answer = send(url, json.loads(body))
        model, source = headers["x-router-model"], headers["x-router-source"]
        seen.append((source, headers.get("x-router-route"), model, headers["x-router-reason"]))
        provider, _, model_id = model.partition("/")
        assert said(answer).startswith(f'demo provider "{provider}" · model {model_id} · path /v1/chat/completions')
        assert said(answer).endswith("(Authorization)")
        words = up.line().split()
        assert words[1] == source
        assert model in words

    assert seen == [
        ("model", None, "openai/gpt-5.2", "requested"),
        ("alias", "creative-model", "anthropic/claude-sonnet-4-5", "requested"),
        ("preference", "code generation", "anthropic/claude-sonnet-4-5", "matched"),
        ("preference", "creative writing", "openai/gpt-5.2", "matched"),
    ]


def test_metrics_and_health_are_where_it_says(up: Up) -> None:
    with get(f"{up.admin}/readyz") as response:
        assert response.read() == b"ok\n"
    with get(f"{up.admin}/metrics") as response:
        assert b"router_workers 1.0\n" in response.read()


def test_what_it_starts_is_for_its_user_alone(up: Up) -> None:
    assert up.directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_quietly(stop: signal.Signals, tmp_path: Path) -> None:
    with started(tmp_path) as up:
        children = up.children()
        assert {"envoy"} < set(children)
        with ends(children):
            up.process.send_signal(stop)
            out, err = up.process.communicate(timeout=30)

    assert (up.process.returncode, out, err) == (0, "", "")
    assert not up.directory.exists()


def test_an_envoy_that_dies_ends_everything_and_is_named(tmp_path: Path) -> None:
    with started(tmp_path) as up:
        children = up.children()
        with ends(children):
            os.kill(children["envoy"], signal.SIGKILL)
            _, err = up.process.communicate(timeout=30)

    assert up.process.returncode == 1
    assert err.startswith("Envoy ended (SIGKILL), and everything with it. What it said last:\n")


def test_nothing_outlives_it_when_it_is_killed(tmp_path: Path) -> None:
    with started(tmp_path) as up, ends(up.children()):
        up.process.kill()


def test_with_one_key_the_other_provider_is_left_out(tmp_path: Path) -> None:
    with started(tmp_path, {"ANTHROPIC_API_KEY": "sk-ant-0123456789"}) as up:
        _, models = send(f"{up.url}/models")

    assert up.text.splitlines()[1:5] == [
        "  anthropic    api.anthropic.com",
        "  openai       left out: OPENAI_API_KEY is not set",
        "               the default model is anthropic/claude-sonnet-4-5, because openai/gpt-5.2 has no key",
        '               preference "creative writing" is left out: none of its models has a key',
    ]
    assert "openai/gpt-5.2" not in json.dumps(models)
    assert "sk-ant" not in up.text


def test_a_port_in_use_is_named_with_what_to_do(up: Up, tmp_path: Path) -> None:
    port = up.url.removesuffix("/v1").rpartition(":")[2]
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    options = ("--admin", f"127.0.0.1:{free_port()}", "--envoy-admin-port", str(free_port()))
    with running("up", str(file), "--port", port, *options) as process:
        _, err = process.communicate(timeout=30)

    assert process.returncode == 2
    assert err == (
        f"Port {port} is not free for clients (0.0.0.0:{port}: Address already in use). "
        "Stop what uses it, or choose another port with --port.\n"
    )


def test_a_wrong_configuration_is_told_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model_providers: [{model: openai/x, access_key: $X}\n")
    with running("up", str(file)) as process:
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (2, "")
    assert err.startswith(f"{file}:")
