"""README.md, followed by a newcomer who types what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Child

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMAND = Path(sys.executable).with_name("router-service")
DEMO = "examples/demo.yaml"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """What `make run` starts, on a free port and without any provider's key."""
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    up = Child([COMMAND, "up", ROOT / DEMO, "--port", "0"], env=env)
    try:
        line = up.stdout.wait_for(lambda line: line.strip().startswith("requests"), timeout_s=60)
        found = re.search(r"http://([^/\s]+)", line)
        assert found is not None
        yield found[1]
    finally:
        up.stop()


REQUESTS = [
    pytest.param(0, "openai/gpt-5.2", "model", "requested", id="by model"),
    pytest.param(1, "openai/gpt-5.2", "alias", "requested", id="by alias"),
    pytest.param(2, "openai/gpt-5", "preference", "matched", id="by preference"),
]


@pytest.mark.parametrize(("position", "model", "source", "reason"), REQUESTS)
def test_the_requests_are_routed_as_it_says(address: str, position: int, model: str, source: str, reason: str) -> None:
    command = blocks("bash")[position].replace("localhost:10000", address)
    answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert answer.startswith("HTTP/1.1 200 OK")
    for name, value in (("model", model), ("source", source), ("reason", reason)):
        assert f"x-router-{name}: {value}\n" in answer.replace("\r", "")


def test_every_request_of_the_page_is_one_of_these() -> None:
    assert len(blocks("bash")) == len(REQUESTS)


def test_the_python_program_runs_and_its_poem_goes_elsewhere_than_code(address: str) -> None:
    (program,) = blocks("python")
    asked = program.replace("localhost:10000", address).replace("client.chat", "answer = client.chat")
    namespace: dict[str, object] = {}
    exec(asked, namespace)  # noqa: S102 - our own README
    assert "claude-sonnet-4-5" in str(namespace["answer"])


def test_the_configuration_of_the_page_is_the_one_that_runs() -> None:
    assert blocks("yaml") == [(ROOT / DEMO).read_text()]


def test_every_make_command_of_the_page_exists() -> None:
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make ([a-z-]+)", README)) <= set(targets)


def test_every_link_of_the_page_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert [link for link in links if not (ROOT / link).exists()] == []
