"""The built-in tokenizer gives the ids of all-MiniLM-L6-v2's own; another model's is read from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.classify.tokenizer import built_in_tokenizer, load_tokenizer, token_ids
from router_service.errors import SetupError

# What the tokenizer.json of sentence-transformers/all-MiniLM-L6-v2 gives, padding and truncation off.
GOLDEN: list[dict[str, Any]] = json.loads(Path(__file__).with_name("word_pieces.json").read_text(encoding="utf-8"))
TINY_VOCABULARY = "[PAD]\n[UNK]\n[CLS]\n[SEP]\ncode\npoem\n##s\n"


TOKENIZER = built_in_tokenizer()


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in GOLDEN])
def test_ids_equal_the_original_models(case: dict[str, Any]) -> None:
    assert list(token_ids(TOKENIZER, case["text"], 512)) == case["ids"]


def test_the_vocabulary_is_whole() -> None:
    assert TOKENIZER.get_vocab_size() == 30_522


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param(9, [101, 2028, 2048, 2093, 2176, 2274, 2416, 2698, 102], id="all of it"),
        pytest.param(6, [101, 2028, 2048, 2416, 2698, 102], id="even"),
        pytest.param(5, [101, 2028, 2048, 2698, 102], id="odd"),
        pytest.param(2, [101, 102], id="nothing"),
    ],
)
def test_of_too_many_tokens_the_middle_is_left_out(limit: int, expected: list[int]) -> None:
    assert list(token_ids(TOKENIZER, "one two three four five six seven", limit)) == expected


@given(st.text(st.characters(exclude_categories=[]), max_size=50), st.integers(2, 20))
def test_any_text_becomes_ids_between_the_special_tokens(text: str, limit: int) -> None:
    # Half a surrogate pair included, which JSON can carry and UTF-8 cannot.
    ids = token_ids(TOKENIZER, text, limit)
    assert len(ids) <= limit
    assert (ids[0], ids[-1]) == (101, 102)


def test_a_vocabulary_file_is_read_as_bert_uncased(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text(TINY_VOCABULARY)
    assert token_ids(load_tokenizer(tmp_path), "Poems, code", 512) == [2, 5, 6, 1, 4, 3]


def test_a_tokenizer_file_wins_and_its_padding_is_switched_off(tmp_path: Path) -> None:
    tiny = tmp_path / "vocab.txt"
    tiny.write_text(TINY_VOCABULARY)
    tokenizer = load_tokenizer(tmp_path)
    tokenizer.enable_padding(length=9)
    tokenizer.enable_truncation(3)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tiny.unlink()
    assert token_ids(load_tokenizer(tmp_path), "Poems code", 512) == [2, 5, 6, 4, 3]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("README", b"", "{dir} has neither tokenizer.json nor vocab.txt; copy the one", id="missing"),
        pytest.param("vocab.txt", b"code\n", "{dir}/vocab.txt is not a BERT vocabulary: it has no [UNK]", id="words"),
        pytest.param("vocab.txt", b"\xff", "the tokenizer in {dir} cannot be read: 'utf-8'", id="not text"),
        pytest.param("tokenizer.json", b"{}", "{dir}/tokenizer.json is not a tokenizer of the `tok", id="other JSON"),
    ],
)
def test_what_is_no_tokenizer_says_so(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SetupError) as caught:
        load_tokenizer(tmp_path)
    assert str(caught.value).startswith(message.format(dir=tmp_path))
