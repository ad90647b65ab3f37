"""The command around fitting, with an encoder that looks for words."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from router_service.classify.embedded import EmbeddedClassifier
from router_service.cli import fit as command
from router_service.config.load import load
from router_service.errors import ConfigError, SetupError
from router_service.routing.conversation import Conversation, Turn
from router_service.routing.scoring import Encoded

CONFIG = """\
model_providers: [{model: openai/a, passthrough_auth: true, default: true}]
routing_preferences:
- {name: code, description: code of every kind, models: [openai/a]}
- {name: poems, description: poems of every kind, models: [openai/a]}
"""
WORDS = ("code", "poem", "kind", "weather")


class Words:
    """Each of WORDS is a direction; the last lies a little towards code."""

    name = "words"

    def encode(self, text: str) -> Encoded:
        found = np.array([*(word in text for word in WORDS), 0.3], np.float32)
        if "weather" in text:
            found[0] += 0.25
        return Encoded(np.asarray(found / np.linalg.norm(found), dtype=np.float32))


def lines(*labelled: tuple[str, str]) -> str:
    """Ten cases of each text and label."""
    return "".join(
        json.dumps({"messages": [{"role": "user", "content": f"{text} {number}"}], "expected": label}) + "\n"
        for number in range(10)
        for text, label in labelled
    )


TAKEN_FOR_CODE = lines(("some code", "code"), ("a poem", "poems"), ("the weather", "other"))
ALREADY_RIGHT = lines(("some code", "code"), ("a poem", "poems"))


def fit(folder: Path, cases: str, *options: str, config: str = CONFIG) -> int:
    (folder / "cases.jsonl").write_text(cases, encoding="utf-8")
    (folder / "router.yaml").write_text(config, encoding="utf-8")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    given = [str(folder / "cases.jsonl"), "--config", str(folder / "router.yaml"), *options]
    return command.fit_command(parser.parse_args(given), lambda loaded: Words())


def test_what_gains_is_written_and_said_with_its_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path, TAKEN_FOR_CODE, "--out", str(tmp_path / "fit.json")) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "30 labelled cases, 5 folds of whole conversations\n"
        "accuracy with the defaults    66.7%\n"
        "fitted, on held-out folds     100.0%, +33.3 points (95 % interval +16.7 to +50.0)\n"
    )
    assert "  threshold  0.23 → " in out
    assert f"Written to {tmp_path}/fit.json." in out
    written = json.loads((tmp_path / "fit.json").read_text())
    assert (written["encoder"], written["cases"], written["gain"]) == ("words", 30, 0.3333)


async def test_the_configuration_that_names_the_file_answers_with_it(tmp_path: Path) -> None:
    fit(tmp_path, TAKEN_FOR_CODE, "--out", str(tmp_path / "fit.json"))
    named = tmp_path / "named.yaml"
    routes: list[list[str | None]] = []
    for router in ("{}", "{embedded: {fit: fit.json}}"):
        named.write_text(f"{CONFIG}router: {router}\n")
        loaded = load(named, {})
        assert loaded.warnings == ()
        asked = EmbeddedClassifier(loaded.catalog.preferences, Words(), loaded.config.router, loaded.fitted)
        said = [Conversation((Turn("user", text),)) for text in ("some code", "the weather")]
        routes.append([(await asked.classify(conversation)).route for conversation in said])
        await asked.aclose()
    assert routes == [["code", "code"], ["code", None]]


def test_what_does_not_gain_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path, ALREADY_RIGHT, "--out", str(tmp_path / "fit.json")) == 1
    out = capsys.readouterr().out
    assert "+0.0 points (95 % interval +0.0 to +0.0); these cases cannot tell them apart\n" in out
    assert "Nothing is written" in out
    assert not (tmp_path / "fit.json").exists()


def test_without_a_file_the_settings_are_only_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path, TAKEN_FOR_CODE) == 0
    assert capsys.readouterr().out.endswith("Write them with --out FILE.\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cases.jsonl", "router.yaml"]


def test_wrong_cases_are_told_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        fit(tmp_path, '{"messages": [{"role": "user", "content": "x"}], "expected": "cod"}\nhello\n')
    assert str(caught.value).startswith(f"{tmp_path}/cases.jsonl:2: is not JSON")


@pytest.mark.parametrize(
    ("cases", "config", "options", "said"),
    [
        (ALREADY_RIGHT[:300], CONFIG, (), "Fitting needs 5 labelled cases or conversations at the least"),
        (ALREADY_RIGHT, CONFIG, ("--out", "/no/such/folder/fit.json"), "there is no directory /no/such/folder"),
        ('{"messages": [], "expected": null}\n', CONFIG.partition("routing_p")[0], (), "has no routing_preferences"),
    ],
)
def test_what_cannot_be_fitted_is_said_before_anything_is_encoded(
    tmp_path: Path, cases: str, config: str, options: tuple[str, ...], said: str
) -> None:
    with pytest.raises(SetupError, match=said):
        fit(tmp_path, cases.rpartition("\n")[0] + "\n", *options, config=config)


def test_settings_for_another_encoder_are_refused(tmp_path: Path) -> None:
    class Other(Words):
        name = "other"

    fit(tmp_path, TAKEN_FOR_CODE, "--out", str(tmp_path / "fit.json"))
    (tmp_path / "named.yaml").write_text(CONFIG + "router: {embedded: {fit: fit.json}}\n")
    loaded = load(tmp_path / "named.yaml", {})
    with pytest.raises(SetupError, match="fitted for the encoder words, which is not the one in use, other"):
        EmbeddedClassifier(loaded.catalog.preferences, Other(), loaded.config.router, loaded.fitted)
