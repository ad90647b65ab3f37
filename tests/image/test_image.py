"""The built image: what is in it, what is not, and a request through a pod of it without any network but loopback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.image.buildah import DESCRIBED
from tests.sidecar.containers import Image, images_of_this_machine
from tests.sidecar.kubernetes import RunningPod
from tests.sidecar.standalone import chat, running_standalone


@dataclass(frozen=True, slots=True)
class Built:
    root: Path
    config: dict[str, object]
    size: str


@pytest.fixture(scope="module")
def built() -> Built:
    described = json.loads(DESCRIBED.read_text())
    print(f"image of {described['size']} (the base among it, which is larger here than Debian's slim one)")
    return Built(Path(described["root"]), described["config"], described["size"])


@pytest.fixture(scope="module")
def pod(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPod]:
    """The standalone overlay's pod, with the image in place of this machine's installation."""
    env = dict(pair.split("=", 1) for pair in built.config["Env"])  # type: ignore[attr-defined] # JSON
    entrypoint: tuple[str, ...] = tuple(built.config["Entrypoint"])  # type: ignore[arg-type] # JSON
    images = {**images_of_this_machine(), "router-service": Image(built.root, entrypoint, env)}
    with running_standalone(tmp_path_factory.mktemp("pod"), images) as running:
        yield running


def test_a_request_is_routed_through_the_image(pod: RunningPod) -> None:
    headers, _ = chat(model="fast")
    assert (headers["x-router-model"], headers["x-router-source"]) == ("demo/general", "alias")


def test_the_embedded_model_is_in_the_image(pod: RunningPod) -> None:
    question = {"role": "user", "content": "write a python function that parses a csv file"}
    headers, _ = chat(messages=[question])
    assert (headers["x-router-route"], headers["x-router-reason"]) == ("code generation", "matched")


def test_it_runs_as_a_user_without_rights_from_its_own_entry_point(built: Built) -> None:
    assert built.config["User"] == "65532:65532"
    assert built.config["Entrypoint"] == ["router-service"]
    assert built.config["Cmd"] == ["serve", "/etc/router-service/config.yaml"]
    assert "Healthcheck" in built.config


def test_its_labels_say_what_it_is(built: Built) -> None:
    labels = built.config["Labels"]
    assert isinstance(labels, dict)
    assert {f"org.opencontainers.image.{name}" for name in ("title", "version", "licenses", "base.name")} <= set(labels)


@pytest.mark.parametrize("tool", ["pip", "pip3", "gcc", "cc", "ld", "curl", "wget", "git"])
def test_it_has_no_tool_to_bring_in_or_build_others(built: Built, tool: str) -> None:
    for directory in ("usr/bin", "usr/local/bin", "opt/router-service/bin"):
        assert not (built.root / directory / tool).exists()


def test_every_package_in_it_is_known_to_an_sbom_tool(built: Built) -> None:
    packages = built.root.glob("opt/router-service/lib/python3*/site-packages")
    names = {path.name.partition("-")[0].lower() for site in packages for path in site.glob("*.dist-info")}
    assert {"router_service", "grpcio", "onnxruntime", "tokenizers"} <= names
    assert "python3" in (built.root / "var/lib/dpkg/status").read_text()


def test_no_package_index_and_no_secret_of_the_build_is_left(built: Built) -> None:
    assert not (built.root / "etc/pip.conf").exists() or (built.root / "etc/pip.conf").stat().st_size == 0
    found = subprocess.run(
        ["grep", "-rl", "index-url", "etc", "opt/router-service/lib"],
        cwd=built.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in found.stdout.splitlines() if line.endswith((".conf", ".ini", ".cfg"))] == []
