"""`check` and `schema` as they are called: what is printed, and the exit code."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from router_service.cli import check as command
from router_service.cli import main
from router_service.config.load import Loaded
from router_service.routing.scoring import Embed

GOOD = """
model_providers:
  - {model: openai/gpt-5, access_key: $ROUTER_TEST_KEY, default: true}
  - {model: vllm/Qwen/Qwen3-8B, name: house, base_url: "http://[::1]:8000"}
  - {model: acme/*, base_url: "https://acme.example/api", passthrough_auth: true}
model_aliases: {fast: house, think: fast, any: auto}
routing_preferences:
  - {name: code generation, description: new code snippets and functions, models: [house, gpt-5]}
"""
SUMMARY = """\
FILE can be used.

  listens on   0.0.0.0:10000
  models       openai/gpt-5        api.openai.com/v1     default
               vllm/Qwen/Qwen3-8B  http://[::1]:8000/v1  called house, no credential
               acme/*              acme.example/api      the client's credential
  aliases      fast   → vllm/Qwen/Qwen3-8B
               think  → vllm/Qwen/Qwen3-8B
               any    → the preference that fits
  preferences  code generation  → vllm/Qwen/Qwen3-8B, then openai/gpt-5
  classifier   embedded, on this machine's CPU
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROUTER_TEST_KEY", "secret-key")
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return path


def check(path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["check", str(path), *options])
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "secret-key" not in printed.out
    return code, printed.out.replace(str(path), "FILE")


def test_a_good_file_is_summed_up(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, capsys) == (0, SUMMARY)
    assert check(file, capsys, "--strict") == (0, SUMMARY)


def test_a_warning_is_told_and_counts_only_if_strict(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROUTER_TEST_KEY")
    code, out = check(file, capsys)
    assert code == 0
    assert out.startswith(
        "FILE:3: warning: model_providers[0].access_key: the environment variable ROUTER_TEST_KEY is not set; "
        "export ROUTER_TEST_KEY=… before starting\n\nFILE can be used, with 1 warning.\n"
    )
    assert "default, ROUTER_TEST_KEY not set" in out
    assert check(file, capsys, "--strict") == (1, out)


def test_a_wrong_file_is_told_with_the_number_of_errors(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD + "limit: {}\ntracing: {}\n")
    assert check(file, capsys) == (
        2,
        "FILE:9: limit: is not a known key; did you mean limits?\n"
        "FILE:10: warning: tracing: is not served here: no traces are sent; remove it\n"
        "\n"
        "FILE cannot be used: 1 error and 1 warning.\n",
    )


def test_json_has_the_problems_and_what_the_file_means(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD + "tracing: {}\n")
    code, out = check(file, capsys, "--json")
    said = json.loads(out)
    assert (code, said["usable"], said["default"]) == (0, True, "openai/gpt-5")
    assert said["problems"] == [
        {
            "severity": "warning",
            "line": 9,
            "path": "tracing",
            "what": "is not served here: no traces are sent",
            "todo": "remove it",
        }
    ]
    assert said["preferences"] == {"code generation": ["vllm/Qwen/Qwen3-8B", "openai/gpt-5"]}
    assert said["missing"] == {}


def test_json_of_a_wrong_file_has_only_the_problems(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("limits: {}\n")
    code, out = check(file, capsys, "--json")
    assert (code, json.loads(out)["usable"]) == (2, False)
    assert [problem["path"] for problem in json.loads(out)["problems"]] == ["model_providers"]


ADVISED = GOOD.replace(
    "routing_preferences:",
    """routing_preferences:
  - name: coding
    description: new functions and code snippets in any language
    models: [house]""",
)


def test_preferences_are_measured_and_advice_changes_no_exit_code(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(ADVISED)
    code, out = check(file, capsys, "--strict")
    assert code == 0
    assert out.startswith("FILE can be used.\n")
    advice = out.splitlines()[-1]
    assert advice.startswith("FILE:11: advice: routing_preferences[1].description: is hard to tell from `coding`: ")
    assert "say it in one of the two only" in advice


@pytest.mark.parametrize("router", ["{backend: vllm, url: 'http://127.0.0.1:1'}", "{backend: embedded}"])
def test_preferences_are_measured_whatever_classifies(
    file: Path, capsys: pytest.CaptureFixture[str], router: str
) -> None:
    file.write_text(f"{ADVISED}router: {router}\n")
    code, out = check(file, capsys, "--json")
    said = json.loads(out)
    assert (code, said["problems"], said["not_measured"]) == (0, [], None)
    assert [(advice["severity"], advice["line"]) for advice in said["advice"]] == [("advice", 11)]


def test_an_encoder_that_cannot_be_loaded_costs_only_the_advice(
    file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file.write_text(f"{GOOD}router: {{embedded: {{model_dir: {tmp_path}}}}}\n")
    code, out = check(file, capsys, "--strict")
    assert code == 0
    assert out.endswith(
        f"\nThe preferences were not measured: {tmp_path}/model.onnx does not exist; "
        "put an ONNX sentence encoder there (router.embedded.model_dir)\n"
    )
    assert json.loads(check(file, capsys, "--json")[1])["not_measured"].startswith(f"{tmp_path}/model.onnx")


def test_without_preferences_no_encoder_is_loaded(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def open_embed(loaded: Loaded) -> Embed:
        raise AssertionError("loaded")

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    file.write_text(GOOD.partition("routing_preferences")[0])
    assert command.check(parser.parse_args([str(file)]), open_embed) == 0
    assert "advice" not in capsys.readouterr().out


def test_without_preferences_not_even_numpy_is_imported(file: Path) -> None:
    file.write_text(GOOD.partition("routing_preferences")[0])
    script = "import sys; from router_service.cli import main; main(sys.argv[1:]); print('numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script, "check", str(file)], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("False\n")


def test_a_long_table_is_cut(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = "".join(f"  - {{model: vllm/m{n}, base_url: 'http://h'}}\n" for n in range(30))
    file.write_text(f"model_providers:\n{models}")
    assert "               … and 5 more\n" in check(file, capsys)[1]


def test_the_schema_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert "model_providers" in json.loads(capsys.readouterr().out)["properties"]


def test_the_order_of_a_pool_with_a_policy_is_shown_with_the_prices_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("""
model_providers:
  - {model: vllm/a, base_url: "http://vllm:8000", default: true}
  - {model: vllm/b, base_url: "http://vllm:8000"}
  - {model: vllm/c, base_url: "http://vllm:8000"}
model_aliases:
  cheap: {targets: [a, b, c], selection_policy: {prefer: cheapest}}
  fast: {targets: [a, b], selection_policy: {prefer: fastest}}
  lot: {targets: [a, b], selection_policy: {prefer: random, weights: {a: 3}}}
model_metrics_sources:
  - {type: cost, file: prices.json}
  - {type: cost, provider: models.dev, url: "http://127.0.0.1:1/never-asked"}
""")
    (tmp_path / "prices.json").write_text('{"vllm/a": {"input": 1, "output": 5}, "vllm/b": 0.5, "elsewhere": 1}')
    _, out = check(config, capsys)
    assert (
        """
  aliases      cheap  → vllm/b $0.5, then vllm/a $2, then vllm/c: cheapest first
               fast   → vllm/a, then vllm/b: fastest first
               lot    → vllm/a or vllm/b, drawn 3 : 1
"""
        in out
    )
    _, printed = check(config, capsys, "--json")
    assert json.loads(printed)["selection"] == {
        "alias/cheap": {"prefer": "cheapest", "weights": []},
        "alias/fast": {"prefer": "fastest", "weights": []},
        "alias/lot": {"prefer": "random", "weights": [3.0, 1.0]},
    }
