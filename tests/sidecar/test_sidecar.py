"""The standalone overlay's pod, started as the manifest says: its arguments, environment, volumes, users and order."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from router_service.dataplane.drain import POLL_S
from router_service.demo.answers import mask
from tests.sidecar.containers import answers, images_of_this_machine
from tests.sidecar.kubernetes import RunningPod
from tests.sidecar.standalone import KEY, chat, running_standalone


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPod]:
    with running_standalone(tmp_path_factory.mktemp("pod"), images_of_this_machine()) as running:
        yield running


def test_it_routes_by_model_alias_and_preference(pod: RunningPod) -> None:
    headers, _ = chat(model="demo/coder")
    assert (headers["x-router-model"], headers["x-router-source"]) == ("demo/coder", "model")
    headers, _ = chat(model="fast")
    assert (headers["x-router-model"], headers["x-router-source"]) == ("demo/general", "alias")
    question = {"role": "user", "content": "write a python function that parses a csv file"}
    headers, _ = chat(messages=[question])
    assert (headers["x-router-model"], headers["x-router-route"]) == ("demo/coder", "code generation")


def test_the_key_reaches_the_provider_and_no_file_or_process_of_the_routers(pod: RunningPod) -> None:
    _, body = chat(model="fast")
    assert mask(KEY) in json.dumps(body, ensure_ascii=False)
    router = pod.processes["router"].popen.pid
    descendants = [router, *map(int, Path(f"/proc/{router}/task/{router}/children").read_text().split())]
    for process in descendants:
        assert KEY.encode() not in Path(f"/proc/{process}/environ").read_bytes()
        assert "/run/envoy" not in Path(f"/proc/{process}/mountinfo").read_text()
    assert KEY not in pod.processes["router"].log.read_text()
    secrets = [path for path in (pod.directory / "volumes" / "envoy" / "sds").iterdir() if KEY in path.read_text()]
    assert len(secrets) == 1
    assert stat.S_IMODE(secrets[0].stat().st_mode) == 0o600
    assert secrets[0].stat().st_uid == 65532


def test_every_process_is_the_manifests_user_without_any_capability(pod: RunningPod) -> None:
    for process in pod.processes.values():
        if process.popen.poll() is None:
            status = Path(f"/proc/{process.popen.pid}/status").read_text()
            assert "\nUid:\t65532\t65532\t65532\t65532\n" in status
            assert "\nCapEff:\t0000000000000000\n" in status
            assert "\nNoNewPrivs:\t1\n" in status


def test_the_router_has_no_port_on_the_network_and_envoys_admin_none_outside_of_loopback(pod: RunningPod) -> None:
    listening = {
        (int(line.split()[1].partition(":")[0], 16), int(line.split()[1].partition(":")[2], 16))
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A"  # LISTEN
    }
    open_to_all = {port for address, port in listening if address == 0}
    assert open_to_all == {10000, 9902, 9903}
    assert {port for address, port in listening if address != 0} == {9901, 8081, 8082}
    assert answers("http://127.0.0.1:9903/metrics")


def test_leaving_it_answers_everything_that_arrives_until_envoy_is_gone(pod: RunningPod) -> None:
    """The last test of the module: the pod is deleted while requests come."""
    answered: list[str] = []
    drained = threading.Event()

    def sleep(_: float) -> None:  # the kubelet's, in Envoy's preStop; the drain beside it ends earlier
        told = pod.directory / "router-exec.log"
        while not told.exists() or "Drained" not in told.read_text():
            answered.append(chat(model="fast")[0].get("connection", ""))
            drained.wait(POLL_S / 10)

    pod.stop(sleep)
    assert len(answered) > 10
    assert answered[-1] == "close"  # it asked to connect elsewhere
    assert pod.processes["router"].popen.returncode == 0, pod.processes["router"].told()
    assert not answers("http://127.0.0.1:9903/livez")
