"""The benchmark of the embedded classifier runs and counts what it says it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.embedded_latency import LENGTHS_WORDS, main, measure
from router_service.routing.conversation import Conversation
from router_service.routing.decision import Classification, Reason


class Counting:
    backend = "embedded"

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def classify(self, conversation: Conversation) -> Classification:
        self.seen.append(conversation.turns[-1].content)
        return Classification(Reason.NO_ROUTE, backend=self.backend)

    async def aclose(self) -> None:
        pass


async def test_every_measured_turn_is_another_text_of_the_length_asked() -> None:
    counting = Counting()
    cost = await measure(counting, words=8, runs=20)
    assert len(counting.seen) == 20 + 3  # a tenth and one more to warm up
    assert len(set(counting.seen)) == len(counting.seen)
    assert {len(text.split()) for text in counting.seen} == {8}
    assert 0 < cost.p50_ms <= cost.p99_ms


async def test_earlier_turns_are_classified_before_where_they_are_to_be_in_the_cache() -> None:
    seen: list[int] = []

    class Lengths(Counting):
        async def classify(self, conversation: Conversation) -> Classification:
            seen.append(len(conversation.turns))
            return await super().classify(conversation)

    await measure(Lengths(), words=8, runs=1, turns=3, cached=True)
    await measure(Lengths(), words=8, runs=1, turns=3, cached=False)
    assert seen == [2, 3, 2, 3, 3, 3]


def test_it_prints_a_line_for_each_length_and_kind_of_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--runs", "2"])
    machine, header, *rows, memory = capsys.readouterr().out.splitlines()
    assert machine.startswith("built-in encoder ")
    assert header.split() == ["words", "turns", "cached", "p50", "ms", "p99", "ms", "CPU", "ms", "a", "second"]
    assert [tuple(row.split()[:3]) for row in rows] == [
        (str(words), turns, cached)
        for turns, cached in (("1", "none"), ("8", "earlier"), ("8", "none"))
        for words in LENGTHS_WORDS
    ]
    assert memory.startswith("resident memory of this process: ")


def test_a_model_it_cannot_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--model-dir", str(tmp_path)])
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path}/model.onnx does not exist; ")
