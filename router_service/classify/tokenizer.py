"""From a text to the rows of an encoder's word table: WordPiece, as BERT base uncased does it, and our glossary.

Owns the built-in vocabulary (`data/`) and the reading of another model's `tokenizer.json` or `vocab.txt`. Follows
https://github.com/google-research/bert (tokenization.py) and the `tokenizer.json` of all-MiniLM-L6-v2: control
characters dropped, CJK characters apart, accents and case removed, words over 100 characters unknown.

BERT's pieces are English: it reads the German "bitte" as "bit" and "te". The glossary gives such words of thirty
languages the row of an English one, "please", or where no single word says it a row of their own
(`training/glossary.py`). It has three kinds: pieces as BERT's, which also begin longer words; words that are only found
whole; and words that are found as they are written, before BERT takes case and accents away and blanks are needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from router_service.errors import SetupError

UNKNOWN, FIRST, LAST = "[UNK]", "[CLS]", "[SEP]"
_RUNS_ON = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]+")
# What BERT makes of a word that it does not know in these scripts: letters one by one, which say nothing. Greek ones on
# their own do, in formulas.
_UNREADABLE = re.compile(
    r"(##)?[\u0400-\u052f\u0590-\u06ff\u0900-\u0e7f\u1100-\u11ff]|(##)?[\u3040-\u30ff]{1,2}|##[\u0370-\u03ff]"
)
_UNREAD = -1
BLANK = "_"  # in the glossary's file, for words that have one: Vietnamese is written with blanks between syllables
_SPECIAL = ("[PAD]", UNKNOWN, FIRST, LAST, "[MASK]")


@dataclass(frozen=True, slots=True)
class Words:
    """A tokenizer, and the row of the word table for each of its tokens; without `rows` a token's id is its row.

    Tokens of the row -1 are left out of a text that has others.
    """

    tokenizer: Tokenizer
    rows: Sequence[int] = ()

    def encode(self, text: str, limit: int) -> Sequence[int]:
        """Rows, with those of the special tokens at both ends; of more than `limit`, the middle is left out."""
        sendable = text.encode("utf-8", "replace").decode()  # JSON may carry half a surrogate pair, UTF-8 cannot
        rows: list[int] = self.tokenizer.encode(sendable).ids
        if self.rows:
            read = [row for token in rows if (row := self.rows[token]) != _UNREAD]
            rows = read if len(read) > 2 else rows
        if len(rows) > limit:
            head = (limit + 1) // 2
            rows = rows[:head] + rows[head - limit :]
        return rows


def built_in_tokenizer() -> Words:
    """The tokenizer of all-MiniLM-L6-v2 with the glossary's words."""
    pieces = _bert_pieces()
    bert = {piece: position for position, piece in enumerate(pieces)}
    rows = [_UNREAD if _UNREADABLE.fullmatch(piece) else position for piece, position in bert.items()]
    added: list[AddedToken] = []
    added_rows: list[int] = []
    for line in _data("glossary.txt").splitlines():
        number, more, words, written = line.split("\t")
        row = int(number)
        for piece in more.split():
            if piece in bert:
                rows[bert[piece]] = row
            else:
                pieces.append(piece)
                rows.append(row)
        whole = [AddedToken(word, single_word=True) for word in words.split()]
        found = [word.replace(BLANK, " ") for word in written.split()]
        whole += [AddedToken(word, single_word=not runs_on(word), normalized=False) for word in found]
        added += whole
        added_rows += [row] * len(whole)
    tokenizer = _word_pieces(pieces, "the built-in vocabulary")
    tokenizer.add_tokens(added)
    return Words(tokenizer, rows + added_rows)


def bert_words() -> Words:
    """The tokenizer of all-MiniLM-L6-v2 as it came."""
    return Words(_word_pieces(_bert_pieces(), "the built-in vocabulary"))


def runs_on(word: str) -> bool:
    """Whether it is of a script that has no blanks between words: Chinese, Japanese, Thai."""
    return _RUNS_ON.fullmatch(word) is not None


def load_tokenizer(model_dir: Path) -> Words:
    """The tokenizer beside another model. SetupError if there is none or it cannot be read."""
    whole, vocabulary = model_dir / "tokenizer.json", model_dir / "vocab.txt"
    try:
        if whole.exists():
            tokenizer = _parse(whole.read_text(encoding="utf-8"), whole)
        else:
            tokenizer = _word_pieces(_pieces(vocabulary.read_text(encoding="utf-8")), vocabulary)
    except FileNotFoundError:
        raise SetupError(
            f"{model_dir} has neither tokenizer.json nor vocab.txt; copy the one of the model into it "
            "(router.embedded.model_dir)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"the tokenizer in {model_dir} cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return Words(tokenizer)


def _bert_pieces() -> list[str]:
    return _pieces(_data("bert-base-uncased-vocab.txt"))


def _pieces(vocabulary: str) -> list[str]:
    return vocabulary.removesuffix("\n").replace("\r\n", "\n").split("\n")


def _data(name: str) -> str:
    return files(__package__).joinpath("data", name).read_text(encoding="utf-8")


def _word_pieces(pieces: Sequence[str], where: object) -> Tokenizer:
    ids = {piece: position for position, piece in enumerate(pieces)}
    missing = [token for token in (UNKNOWN, FIRST, LAST) if token not in ids]
    if missing:
        raise SetupError(f"{where} is not a BERT vocabulary: it has no {' '.join(missing)}")
    tokenizer = Tokenizer(WordPiece(ids, unk_token=UNKNOWN, max_input_chars_per_word=100))
    tokenizer.add_special_tokens([token for token in _SPECIAL if token in ids])
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing((LAST, ids[LAST]), (FIRST, ids[FIRST]))
    return tokenizer


def _parse(text: str, where: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing more exact
        raise SetupError(f"{where} is not a tokenizer of the `tokenizers` library: {error}") from error
