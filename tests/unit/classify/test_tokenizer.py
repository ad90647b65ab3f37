"""BERT's pieces as the original model has them, the glossary's words beside them; another model's from its folder."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.classify.tokenizer import bert_words, built_in_tokenizer, load_tokenizer
from router_service.errors import SetupError
from tests.e2e.commands import ROOT

# What the tokenizer.json of sentence-transformers/all-MiniLM-L6-v2 gives, padding and truncation off.
GOLDEN: list[dict[str, Any]] = json.loads(Path(__file__).with_name("word_pieces.json").read_text(encoding="utf-8"))
ENGLISH = [case for case in GOLDEN if case["text"].isascii()]
TINY_VOCABULARY = "[PAD]\n[UNK]\n[CLS]\n[SEP]\ncode\npoem\n##s\n"


BERT = bert_words()
WORDS = built_in_tokenizer()


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in GOLDEN])
def test_without_the_glossary_ids_equal_the_original_models(case: dict[str, Any]) -> None:
    assert list(BERT.encode(case["text"], 512)) == case["ids"]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in ENGLISH])
def test_english_is_read_as_the_original_model_reads_it(case: dict[str, Any]) -> None:
    assert list(WORDS.encode(case["text"], 512)) == case["ids"]


def test_every_token_has_a_row() -> None:
    assert BERT.tokenizer.get_vocab_size() == 30_522
    assert len(WORDS.rows) == WORDS.tokenizer.get_vocab_size() > 130_000


@pytest.mark.parametrize(
    ("text", "english"),
    [
        pytest.param("Bitte übersetze das!", "please translate das!", id="German"),
        pytest.param("für", "for", id="an accent that makes it another word than the fur"),
        pytest.param("Für", "for", id="capital letter"),
        pytest.param("das Fur", "das fur", id="without the accent"),
        pytest.param("请翻译", "please translate", id="no blanks between words"),
        pytest.param("переводчик", "translation", id="Russian, the beginning of a longer word"),
        pytest.param("번역해", "translate", id="Korean, with what follows the stem"),
        pytest.param("والعقد", "contract", id="Arabic, with what is written before the word"),
        pytest.param("útil", "useful", id="an accent that keeps it apart from English code"),
        pytest.param("thx", "thanks", id="chat"),
        pytest.param("fallacy of a util kayak", "fallacy of a util kayak", id="English words like others"),
    ],
)
def test_words_of_the_glossary_are_read_as_english_ones(text: str, english: str) -> None:
    assert list(WORDS.encode(text, 512)) == list(BERT.encode(english, 512))


def test_letters_of_words_that_nobody_glossed_are_left_out_unless_there_is_nothing_else() -> None:
    assert WORDS.encode("мгнгм перевод", 512) == WORDS.encode("перевод", 512)
    assert WORDS.encode("мгнгм", 512) == BERT.encode("мгнгм", 512)
    assert WORDS.encode("find θ", 512) == BERT.encode("find θ", 512)


def test_the_glossary_is_what_its_sources_say() -> None:
    sources = runpy.run_path(str(ROOT / "training" / "glossary.py"))
    assert sources["text"]() == sources["WRITTEN"].read_text(encoding="utf-8"), "run training/glossary.py, then export"


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
    assert list(WORDS.encode("one two three four five six seven", limit)) == expected


@given(st.text(st.characters(exclude_categories=[]), max_size=50), st.integers(2, 20))
def test_any_text_becomes_rows_between_the_special_tokens(text: str, limit: int) -> None:
    # Half a surrogate pair included, which JSON can carry and UTF-8 cannot.
    rows = WORDS.encode(text, limit)
    assert len(rows) <= limit
    assert (rows[0], rows[-1]) == (101, 102)


def test_a_vocabulary_file_is_read_as_bert_uncased(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text(TINY_VOCABULARY)
    assert load_tokenizer(tmp_path).encode("Poems, code", 512) == [2, 5, 6, 1, 4, 3]


def test_a_tokenizer_file_wins_and_its_padding_is_switched_off(tmp_path: Path) -> None:
    tiny = tmp_path / "vocab.txt"
    tiny.write_text(TINY_VOCABULARY)
    tokenizer = load_tokenizer(tmp_path).tokenizer
    tokenizer.enable_padding(length=9)
    tokenizer.enable_truncation(3)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tiny.unlink()
    assert load_tokenizer(tmp_path).encode("Poems code", 512) == [2, 5, 6, 4, 3]


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
