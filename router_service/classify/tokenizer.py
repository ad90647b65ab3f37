"""From a text to the token ids an encoder was trained with: WordPiece, as BERT base uncased does it.

Owns the built-in vocabulary (`data/`) and the reading of another model's `tokenizer.json` or `vocab.txt`. Follows
https://github.com/google-research/bert (tokenization.py) and the `tokenizer.json` of all-MiniLM-L6-v2: control
characters dropped, CJK characters apart, accents and case removed, words over 100 characters unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

from router_service.errors import SetupError

UNKNOWN, FIRST, LAST = "[UNK]", "[CLS]", "[SEP]"
_SPECIAL = ("[PAD]", UNKNOWN, FIRST, LAST, "[MASK]")


def built_in_tokenizer() -> Tokenizer:
    """The tokenizer of all-MiniLM-L6-v2."""
    text = files(__package__).joinpath("data", "bert-base-uncased-vocab.txt").read_text(encoding="utf-8")
    return _word_pieces(text, "the built-in vocabulary")


def load_tokenizer(model_dir: Path) -> Tokenizer:
    """The tokenizer beside another model. SetupError if there is none or it cannot be read."""
    whole, vocabulary = model_dir / "tokenizer.json", model_dir / "vocab.txt"
    try:
        if whole.exists():
            tokenizer = _parse(whole.read_text(encoding="utf-8"), whole)
        else:
            tokenizer = _word_pieces(vocabulary.read_text(encoding="utf-8"), vocabulary)
    except FileNotFoundError:
        raise SetupError(
            f"{model_dir} has neither tokenizer.json nor vocab.txt; copy the one of the model into it "
            "(router.embedded.model_dir)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"the tokenizer in {model_dir} cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def token_ids(tokenizer: Tokenizer, text: str, limit: int) -> Sequence[int]:
    """Ids with the special tokens at both ends; of more than `limit`, the middle is left out."""
    sendable = text.encode("utf-8", "replace").decode()  # JSON may carry half of a surrogate pair, UTF-8 cannot
    ids: list[int] = tokenizer.encode(sendable).ids
    if len(ids) <= limit:
        return ids
    head = (limit + 1) // 2
    return ids[:head] + ids[head - limit :]


def _word_pieces(vocabulary: str, where: object) -> Tokenizer:
    pieces = vocabulary.removesuffix("\n").replace("\r\n", "\n").split("\n")
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
