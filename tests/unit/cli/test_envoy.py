"""`router-service envoy render` as its user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router_service.cli import main

CONFIG = """\
model_providers:
  - {model: openai/gpt-5, access_key: $OPENAI_API_KEY, default: true}
  - {model: vllm/qwen, base_url: "http://127.0.0.1:8000"}
service: {listen: "127.0.0.1:9950", workers: 2}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    file = tmp_path / "router.yaml"
    file.write_text(CONFIG)
    return file


def render(config: Path, *arguments: str) -> int:
    return main(
        ["envoy", "render", str(config), "--out", str(config.parent / "out"), "--ca-file", "/ca.pem", *arguments]
    )


def rendered(config: Path, name: str) -> str:
    return (config.parent / "out" / name).read_text()


def test_it_says_what_it_wrote_and_how_to_go_on(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(config) == 0
    printed = capsys.readouterr()
    out = config.parent / "out"
    first, *lines = printed.out.splitlines()
    assert first == f"Envoy's configuration is in {out}:"
    assert lines[:4] == [
        "  bootstrap.json  written    admin on 127.0.0.1:9901",
        "  lds.json        written    clients on 0.0.0.0:10000; 2 models",
        "  cds.json        written    2 provider addresses; router on 127.0.0.1:9950, 127.0.0.1:9951",
        "  sds/            1 written: the providers' keys, readable by you alone",
    ]
    assert lines[-1].startswith("Start it with: ")
    assert lines[-1].endswith(f"envoy -c {out}/bootstrap.json")
    assert printed.err == ""


def test_rendering_again_changes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render(config)
    capsys.readouterr()
    render(config)
    assert "1 unchanged" in capsys.readouterr().out


def test_a_missing_variable_is_told_and_the_rest_is_rendered(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert render(config) == 0
    printed = capsys.readouterr()
    assert "the environment variable OPENAI_API_KEY is not set" in printed.err
    assert "Without a key, and refused until rendered with one: openai/gpt-5" in printed.out
    assert json.loads(rendered(config, "sds/key_openai_gpt-5.json"))["resources"][0]["generic_secret"] == {
        "secret": {"inline_string": ""}
    }


def test_strict_writes_nothing_where_there_is_a_warning(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert render(config, "--strict") == 1
    assert not (config.parent / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "file", "found"),
    [
        pytest.param(["--mount", "/etc/envoy/"], "bootstrap.json", '"path": "/etc/envoy/lds.json"', id="mount"),
        pytest.param(["--mount", "/etc/envoy"], "lds.json", '"path": "/etc/envoy/sds/key_openai_gpt-5.json"', id="sds"),
        pytest.param(["--listen", "unix:/run/r.sock"], "cds.json", '"path": "/run/r.sock.1"', id="sockets"),
        pytest.param(["--listen", "router:9910", "--workers", "1"], "cds.json", '"address": "router"', id="name"),
        pytest.param(["--admin-port", "9999"], "bootstrap.json", '"port_value": 9999', id="admin"),
        pytest.param(["--node-id", "edge-1"], "bootstrap.json", '"id": "edge-1"', id="node"),
        pytest.param(["--access-log", "/var/log/envoy.json"], "lds.json", '"path": "/var/log/envoy.json"', id="log"),
        pytest.param([], "cds.json", '"filename": "/ca.pem"', id="authorities"),
    ],
)
def test_an_option_is_rendered(config: Path, arguments: list[str], file: str, found: str) -> None:
    assert render(config, *arguments) == 0
    assert found in rendered(config, file)


def test_paths_are_absolute_wherever_envoy_is_started(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    assert main(["envoy", "render", "router.yaml", "--out", "out", "--listen", "unix:r.sock", "--ca-file", "/ca"]) == 0
    assert f'"path": "{config.parent}/out/lds.json"' in rendered(config, "bootstrap.json")
    assert f'"path": "{config.parent}/r.sock"' in rendered(config, "cds.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--listen", "9910"], "is not an address; write host:port", id="address"),
        pytest.param(["--workers", "0"], "is not a number of workers; write 1 or more", id="workers"),
    ],
)
def test_wrong_usage_is_told(
    config: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        render(config, *arguments)
    assert exited.value.code == 2
    assert message in capsys.readouterr().err


def test_workers_beyond_the_last_port_are_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(config, "--listen", "127.0.0.1:65535") == 2
    assert "worker 1 would need port 65536" in capsys.readouterr().err
