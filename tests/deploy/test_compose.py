"""The compose file: read by podman-compose as `docker compose` reads it, every profile, and what it promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import get
from tests.deploy.overlays import ROOT

COMPOSE = ROOT / "deploy" / "compose"
PROFILES = ("gpu", "monitoring")


def read_services(directory: Path) -> dict[str, dict[str, object]]:
    """Every service, merged and interpolated; `directory` is for what this needs itself."""
    # `config` needs no engine, yet podman-compose asks for podman's version first.
    podman = directory / "podman"
    podman.write_text("#!/bin/sh\necho podman version 5.0.0\n")
    podman.chmod(0o755)
    command = [str(Path(sys.executable).with_name("podman-compose")), "--file", str(COMPOSE / "compose.yaml")]
    environment = {"PATH": f"{directory}:{os.environ['PATH']}", "HOME": str(directory)}
    profiles = [option for profile in PROFILES for option in ("--profile", profile)]
    read = subprocess.run([*command, *profiles, "config"], capture_output=True, text=True, check=False, env=environment)
    assert read.returncode == 0, read.stderr
    found: dict[str, dict[str, object]] = yaml.safe_load(read.stdout)["services"]
    return found


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    return read_services(tmp_path_factory.mktemp("compose"))


def test_the_file_is_read_with_every_profile(services: dict[str, dict[str, object]]) -> None:
    assert set(services) == {"provider-a", "provider-b", "render", "router", "envoy", "arch-router", "prometheus"}


def test_without_a_profile_there_is_neither_vllm_nor_prometheus(services: dict[str, dict[str, object]]) -> None:
    assert {name for name, service in services.items() if not service.get("profiles")} == {
        "provider-a",
        "provider-b",
        "render",
        "router",
        "envoy",
    }


def test_envoy_starts_when_its_files_are_written_and_the_router_is_ready(
    services: dict[str, dict[str, object]],
) -> None:
    assert get(services, "envoy.depends_on.render.condition") == "service_completed_successfully"
    assert get(services, "envoy.depends_on.router.condition") == "service_healthy"
    assert "healthcheck" in services["router"]


def test_keys_reach_the_render_step_alone(services: dict[str, dict[str, object]]) -> None:
    assert [name for name, service in services.items() if service.get("env_file")] == ["render"]


def test_nothing_is_published_to_the_network_and_no_admin_port_at_all(services: dict[str, dict[str, object]]) -> None:
    published = [str(port) for service in services.values() for port in service.get("ports", [])]  # type: ignore[attr-defined] # YAML
    assert sorted(published) == ["127.0.0.1:10000:10000", "127.0.0.1:9090:9090"]


def test_every_container_is_pinned_limited_and_without_capabilities(services: dict[str, dict[str, object]]) -> None:
    for name, service in services.items():
        assert re.search(r":(\w+-)?v?\d+\.\d+\.\d+$", str(service["image"])), name
        assert service["cap_drop"] == ["ALL"], name
        assert get(service, "deploy.resources.limits.memory"), name
        if name != "arch-router":  # vLLM's image compiles kernels beside itself
            assert service["read_only"] is True, name


def test_its_files_exist() -> None:
    assert {"config.yaml", "config.gpu.yaml", "prometheus.yaml", ".env.example"} <= {
        path.name for path in COMPOSE.iterdir()
    }
