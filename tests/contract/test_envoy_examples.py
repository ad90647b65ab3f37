"""Every example configuration is one that Envoy accepts, whatever a new reader starts from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from router_service.config.load import load
from router_service.config.models import Config
from router_service.config.service import TcpAddress
from router_service.dataplane.authorities import find_ca_file
from tests.support.envoy import validate, write_rendered

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
SERVICE = [TcpAddress("127.0.0.1", 9910)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_envoy_accepts_the_example(example: Path, tmp_path: Path) -> None:
    variables = dict.fromkeys(re.findall(r"\$(\w+)", example.read_text()), "a-key")
    loaded = load(example, variables)
    assert not loaded.missing
    write_rendered(loaded.config, tmp_path, SERVICE, ca_file=find_ca_file())
    assert validate(tmp_path) == ""


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_envoy_accepts_the_example_without_any_key(example: Path, tmp_path: Path) -> None:
    loaded = load(example, {})
    write_rendered(loaded.config, tmp_path, SERVICE, ca_file=find_ca_file(), missing=loaded.missing)
    assert validate(tmp_path) == ""


def test_the_validation_finds_what_is_wrong_in_a_listener(tmp_path: Path) -> None:
    def break_route(files: dict[str, str]) -> None:
        files["lds.json"] = files["lds.json"].replace('"cluster_header"', '"cluster_heater"')

    config = Config.model_validate({"model_providers": [{"model": "vllm/x", "base_url": "http://127.0.0.1:8000"}]})
    write_rendered(config, tmp_path, SERVICE, edit=break_route)
    json.loads((tmp_path / "lds.json").read_text())
    assert "cluster_heater" in validate(tmp_path)
