"""docs/arch-router.md says what the code and the start script do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from benchmarks.classify_ways import CHOICE, NAIVE, OURS, SCHEMA, SINGLE
from router_service.classify import watch
from router_service.config.models import Limits, Router
from router_service.routing.breaker import Policy
from router_service.routing.decision import ANSWERED, Reason

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "arch-router.md").read_text()
SERVE = (ROOT / "deploy" / "vllm" / "serve").read_text()


def flags(command: str) -> dict[str, str]:
    """Each option of the `serve` command in a text, with its value."""
    (line,) = re.findall(
        r'serve\S* (?:"\$MODEL"|katanemo/\S+) (.*?)(?:\n```| "\$@")', command.replace("\\\n", ""), re.DOTALL
    )
    return dict(re.findall(r"(--[\w-]+)(?: +(?!--)(\S+))?", line))


def test_the_command_is_the_one_that_make_vllm_runs() -> None:
    written, run = flags(PAGE), flags(SERVE.replace('"$VLLM" serve', "serve"))
    assert list(written) == list(run)
    assert {"--served-model-name", "--enable-prefix-caching"} <= set(written)
    for flag in set(written) - {"--host", "--port"}:
        assert written[flag] == run[flag]


def test_every_flag_that_is_explained_is_set() -> None:
    assert set(re.findall(r"^\| `(--[\w-]+)` \|", PAGE, re.MULTILINE)) <= set(flags(PAGE))


def test_the_example_configuration_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    router = Router.model_validate(yaml.safe_load(example)["router"])
    assert (router.backend, router.url) == ("vllm", ["http://127.0.0.1:8000"])


def test_every_key_that_is_named_exists() -> None:
    known = {"router": set(Router.model_fields), "limits": set(Limits.model_fields)}
    for section, key in re.findall(r"`(router|limits)\.([a-z_]+)", PAGE):
        assert key in known[section], key


def test_the_numbers_of_the_breaker_are_its_own() -> None:
    assert Policy() == Policy(failures=5, first_pause_s=1.0, longest_pause_s=30.0)
    assert "fails five times in a row is left alone for a second" in " ".join(PAGE.split())
    assert "doubles the pause, up to 30 seconds" in " ".join(PAGE.split())
    assert f"it is looked up every {watch.PAUSE_S:.0f} seconds" in " ".join(PAGE.split())


def test_the_measured_figures_are_those_of_the_saved_run() -> None:
    saved = json.loads((ROOT / "benchmarks" / "results" / "classify.json").read_text())
    cells = {(cost["preferences"], cost["concurrency"], cost["load"], cost["way"]): cost for cost in saved["costs"]}
    loads = list(dict.fromkeys(cell[:3] for cell in cells))
    expected = [
        [
            *(str(value) for value in load),
            *(f"{cells[*load, way]['p50_ms']:,.0f}" for way in (NAIVE, SCHEMA, CHOICE, OURS, SINGLE)),
            f"{cells[*load, OURS]['decoded_tokens']:.0f}",
            f"{cells[*load, OURS]['cached']:.0%}",
            f"{cells[*load, NAIVE]['p50_ms'] / cells[*load, OURS]['p50_ms']:.2f}",
            f"{cells[*load, OURS]['p50_ms'] / cells[*load, SINGLE]['p50_ms']:.2f}",
        ]
        for load in loads
    ]
    table = PAGE.split("| preferences | at once |")[1].split("\n\n")[0].splitlines()[2:]
    assert [[cell.strip() for cell in row.strip("|").split("|")] for row in table] == expected
    assert saved["dimensions"] == "arch-router"
    assert saved["command"].removeprefix("python -m benchmarks.classify ") in PAGE


def test_every_reason_for_which_it_may_not_answer_stands_in_the_table() -> None:
    table = PAGE.split("## When it does not answer")[1].split("\n## ")[0]
    written = set(re.findall(r"^\| .*? \| `(\w+)` \|", table, re.MULTILINE))
    assert written == set(Reason) - ANSWERED - {Reason.REQUESTED}
