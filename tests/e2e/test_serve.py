"""`router-service serve` as it is installed: it starts, answers, survives, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from router_service.extproc.servicer import SERVICE_NAME
from tests.e2e.commands import running
from tests.support.ports import free_port

CONFIG = """
model_providers:
  - {model: openai/small, access_key: $OPENAI_API_KEY, default: true}
routing_preferences:
  - {name: code, description: generating new code snippets or functions, models: [small]}
service: {drain_delay: 0s}
"""


@dataclass(frozen=True, slots=True)
class Served:
    """A running `serve` with two workers on Unix sockets."""

    process: subprocess.Popen[str]
    admin: str
    socket: str
    lines: Iterator[dict[str, object]]

    def event(self, name: str) -> dict[str, object]:
        return next(line for line in self.lines if line["event"] == name)

    def get(self, path: str) -> str:
        with urlopen(f"http://{self.admin}{path}", timeout=10) as response:
            return str(response.read().decode())


@contextmanager
def served(*arguments: str) -> Iterator[Served]:
    with TemporaryDirectory(prefix="rs-") as directory:  # pytest's own directories are too long for a socket's path
        config = Path(directory) / "config.yaml"
        config.write_text(CONFIG)
        admin = f"127.0.0.1:{free_port()}"
        socket = f"unix:{directory}/router.sock"
        options = ("--workers", "2", "--listen", socket, "--admin", admin)
        with running("serve", str(config), *options, *arguments) as process:
            assert process.stdout is not None
            yield Served(process, admin, socket, map(json.loads, process.stdout))


@pytest.fixture(scope="module")
def service() -> Iterator[Served]:
    with served() as service:
        service.event("ready")
        yield service


def workers_of(process: subprocess.Popen[str]) -> set[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return {int(pid) for pid in children.split()}


@contextmanager
def ends(pids: set[int]) -> Iterator[None]:
    """The processes run at the beginning of the block; at its end, wait for the end of each."""
    descriptors = [os.pidfd_open(pid) for pid in pids]
    yield
    for descriptor in descriptors:
        readable, _, _ = select.select([descriptor], [], [], 30)
        os.close(descriptor)
        assert readable


def test_it_is_ready_when_every_worker_is(service: Served) -> None:
    assert service.get("/readyz?verbose") == "[+]worker-0 ok\n[+]worker-1 ok\n[+]shutdown ok\nreadyz check passed\n"
    assert service.get("/livez") == "ok\n"


def test_its_metrics_are_those_of_all_workers(service: Served) -> None:
    metrics = service.get("/metrics")

    assert "router_workers 2.0\n" in metrics
    assert 'router_rejected_requests_total{reason="unknown_model"} 0.0\n' in metrics
    assert "router_streams_in_flight 0.0\n" in metrics


@pytest.mark.parametrize("suffix", ["", ".1"])
def test_each_worker_has_a_socket_where_envoy_finds_it(service: Served, suffix: str) -> None:
    with grpc.insecure_channel(service.socket + suffix) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service=SERVICE_NAME), timeout=10)

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_worker_that_is_killed_comes_back(service: Served) -> None:
    before = workers_of(service.process)
    os.kill(min(before), signal.SIGKILL)

    assert service.event("worker_died")["cause"] == "SIGKILL"
    while "[+]worker-0 ok\n[+]worker-1 ok" not in service.get("/readyz?verbose"):
        pass  # the new worker is starting; pytest's timeout is the bound
    assert len(workers_of(service.process)) == 2
    assert "router_worker_restarts_total 1.0\n" in service.get("/metrics")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_its_workers_and_sockets(stop: signal.Signals) -> None:
    with served() as service:
        service.event("ready")
        with ends(workers_of(service.process)):
            service.process.send_signal(stop)

            assert service.event("stopping")["signal"] == stop.name
            assert service.process.wait(timeout=30) == 0
        assert not Path(service.socket.removeprefix("unix:")).exists()
        assert service.process.stderr is not None
        assert service.process.stderr.read() == ""


def test_workers_do_not_outlive_a_supervisor_that_is_killed() -> None:
    with served() as service:
        service.event("ready")
        with ends(workers_of(service.process)):
            service.process.kill()


def test_a_key_that_only_envoy_needs_is_not_missed() -> None:
    with served() as service:
        events = [next(service.lines)["event"], next(service.lines)["event"]]

    assert events == ["started", "ready"]


def test_a_wrong_configuration_is_told_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("model_providers: [{model: openai/small}]\nrouters: {}\nmodel_aliases: {a: {target: nobody}}\n")
    with running("serve", str(file)) as process:
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out) == (2, "")
    assert [line.partition(": ")[0] for line in err.splitlines()][-2:] == [f"{file}:2", f"{file}:3"]


def test_an_address_in_use_ends_it_and_says_what_to_do(service: Served, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    with running("serve", str(file), "--admin", service.admin, "--listen", "unix:/tmp/unused.sock") as process:
        _, err = process.communicate(timeout=30)

    assert process.returncode == 2
    assert err == (
        f"Cannot serve metrics and health on {service.admin}: Address already in use; "
        "choose another with --admin or service.admin.\n"
    )


def test_a_worker_s_address_in_use_ends_it_and_says_what_to_do(service: Served, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    admin = f"127.0.0.1:{free_port()}"
    taken = service.admin
    with running("serve", str(file), "--admin", admin, "--listen", taken) as process:
        _, err = process.communicate(timeout=30)

    assert process.returncode == 2
    assert f"Cannot listen on {taken}; stop what does, or choose another --listen." in err
