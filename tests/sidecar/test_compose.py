"""`docker compose up` without Docker: the file's own services, started in its order, route."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.test_compose import COMPOSE, read_services
from tests.sidecar.compose import RunningProject
from tests.sidecar.containers import answers, images_of_this_machine, wait_until
from tests.sidecar.standalone import chat


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProject]:
    directory: Path = tmp_path_factory.mktemp("compose")
    directory.chmod(0o755)
    running = RunningProject(read_services(directory), images_of_this_machine(), COMPOSE, directory)
    try:
        running.start("envoy")
        wait_until(lambda: answers("http://127.0.0.1:9903/readyz"), running.processes["envoy"], period_s=1, tries=30)
        yield running
    finally:
        for process in running.processes.values():
            process.kill()


def test_envoy_comes_last_and_answers(project: RunningProject) -> None:
    assert project.order[-1] == "envoy"
    assert set(project.order) == {"provider-a", "provider-b", "render", "router", "envoy"}
    headers, _ = chat(model="fast")
    assert headers["x-router-model"] == "demo/general"


def test_the_question_of_its_first_lines_is_routed_by_preference(project: RunningProject) -> None:
    headers, _ = chat(messages=[{"role": "user", "content": "write a function that reverses a list"}])
    assert (headers["x-router-model"], headers["x-router-route"]) == ("demo/coder", "code generation")
