"""Words of other languages as meanings that the encoder knows: writes the product's glossary.

    python glossary.py [--onnx encoder.onnx]

`glossary/*.txt`, a file for a language, has lines `form, form = gloss`: spellings of one meaning, and what it is in
plain English. A form becomes a token that means its gloss: the row of that word in the encoder's word table, or, of
several words, a new row that is their mean. So "Vertrag" is read as "contract" is, although no training text has it.
`en.txt` has abbreviations and misspellings, and, without a gloss, words that stay what they are.

Owns: which forms are tokens, and of which rows. `router_service/classify/data/glossary.txt` is what it writes, for
`classify.tokenizer`, and with `--onnx` the new rows of a model that was exported with others: so words can be added
without training and without the weights it began with.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers.normalizers import BertNormalizer

from router_service.classify.tokenizer import BLANK, bert_words, runs_on

FOLDER = Path(__file__).parent / "glossary"
# Of a spelling that several languages share the first one's meaning counts.
LANGUAGES = (
    *("en", "zh", "es", "fr", "de", "pt", "ru", "ja", "ar", "hi", "it", "ko", "nl", "pl", "tr", "id", "vi", "th", "uk"),
    *("sv", "cs", "ro", "el", "hu", "da", "nb", "fi", "he", "fa", "ur"),
)
WRITTEN = Path(__file__).parents[1] / "router_service" / "classify" / "data" / "glossary.txt"

# A form is also read at the beginning of longer words ("zusammenfass" and its endings) from so many letters on. Shorter
# Latin ones begin too many English words: with 5 letters "fallacy" is a failure.
LATIN_STEM, OTHER_STEM, JAMO_STEM = 7, 3, 4  # Korean is split into jamo, two or three for a syllable
HANGUL = re.compile(r"[\u1100-\u11ff]+")
# Articles and prepositions are written together with their word.
PREFIXED = re.compile(r"[\u0590-\u06ff]{3,}")

Gloss = tuple[int, ...]  # rows of BERT's word pieces


@dataclass
class Glossary:
    """Tokens with their meanings: `pieces` as BERT's, `words` whole after BERT's normalisation, `written` before it."""

    pieces: dict[str, Gloss] = field(default_factory=dict)
    words: dict[str, Gloss] = field(default_factory=dict)
    written: dict[str, Gloss] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[dict[str, Gloss], ...]:
        return self.pieces, self.words, self.written

    def made(self) -> list[Gloss]:
        """The meanings that have a row of their own, in the order of these rows."""
        return sorted({gloss for kind in self.kinds for gloss in kind.values() if len(gloss) > 1})


def entries() -> Iterator[tuple[str, str]]:
    """Forms with their glosses, of each form the first."""
    taken: set[str] = set()
    for language in LANGUAGES:
        for form, gloss in _entries(FOLDER / f"{language}.txt"):
            if form not in taken and gloss:
                yield form, gloss
            taken.add(form)


def _entries(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        forms, equals, gloss = line.partition("=")
        if not equals or not (gloss.strip() or path.stem == "en"):
            raise ValueError(f"{path}:{number}: expected `form, form = gloss`, found {line!r}")
        for form in forms.split(","):
            yield unicodedata.normalize("NFC", form.strip()), gloss.strip()


@cache
def read() -> Glossary:
    """A form that is a piece of BERT's already stays what it is, unless its accents make another word of it.

    Of Chinese characters BERT has some hundreds, and knows what they mean as little as of the others. Forms that BERT
    takes apart, at a blank, an apostrophe or a hyphen, are found as they are written.
    """
    bert, normal = bert_words().tokenizer, BertNormalizer(lowercase=True)
    english = {form for form, gloss in _entries(FOLDER / "en.txt") if not gloss}
    found = Glossary()
    spelled: dict[str, dict[str, Gloss]] = {}  # what BERT makes of a form -> the forms -> what they mean
    for form, gloss in entries():
        meaning = tuple(dict.fromkeys(bert.encode(gloss, add_special_tokens=False).ids))
        piece = normal.normalize_str(form).strip()
        if runs_on(form) and len(form) > 1:
            found.written[form] = meaning
        elif all(unicodedata.category(letter)[0] in "LMN" for letter in piece):
            spelled.setdefault(piece, {}).setdefault(form.lower(), meaning)
        else:
            found.written |= dict.fromkeys(_cases(form), meaning)
    for piece, forms in spelled.items():
        known = piece in english or (bert.token_to_id(piece) is not None and not runs_on(piece))
        if known or len(set(forms.values())) > 1:
            for form, meaning in forms.items():
                if form != piece:
                    found.written |= dict.fromkeys(_cases(form), meaning)
        if not known:
            meaning = next(iter(forms.values()))
            (found.pieces if len(piece) >= _stem(piece) else found.words)[piece] = meaning
            if PREFIXED.fullmatch(piece):
                found.pieces[f"##{piece}"] = meaning
    for token in [token for token in found.written if bert.token_to_id(token) is not None]:
        del found.written[token]
    return found


def _cases(form: str) -> tuple[str, ...]:
    return form, form.capitalize(), form.upper()


def _stem(piece: str) -> int:
    if runs_on(piece):
        return 1
    if HANGUL.fullmatch(piece):
        return JAMO_STEM
    return LATIN_STEM if piece.isascii() else OTHER_STEM


def text() -> str:
    """Of every meaning its row in the word table, and the tokens of each kind."""
    found = read()
    first = bert_words().tokenizer.get_vocab_size()
    row = {gloss: first + position for position, gloss in enumerate(found.made())}
    lines: dict[int, tuple[list[str], ...]] = {}
    for column, kind in enumerate(found.kinds):
        for token, gloss in kind.items():
            lines.setdefault(row.get(gloss, gloss[0]), ([], [], []))[column].append(token.replace(" ", BLANK))
    return "".join(
        "\t".join([str(number), *map(" ".join, columns)]) + "\n" for number, columns in sorted(lines.items())
    )


def with_rows(words: NDArray[np.float32]) -> NDArray[np.float32]:
    """BERT's rows [30522, 384] and behind them the new ones, each as long as those it is the mean of are on average."""
    made = [words[list(rows)] for rows in read().made()]
    means = np.stack([rows.mean(axis=0) for rows in made])
    lengths = np.array([np.linalg.norm(rows, axis=1).mean() for rows in made])
    return np.concatenate(
        [words, means / np.linalg.norm(means, axis=1, keepdims=True) * lengths[:, None]], dtype=np.float32
    )


def eight_bits(words: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The table as it is served, [rows, 384], and the scales [rows, 1]: one for all is too coarse for some."""
    scale = np.maximum(np.abs(words).max(axis=1, keepdims=True), 1e-8) / np.float32(127)
    return np.round(words / scale).astype(np.int8), scale


def replace_rows(model: Path) -> None:
    import onnx  # noqa: PLC0415 - only where a model is written
    from onnx import numpy_helper  # noqa: PLC0415

    saved = onnx.load(model)
    held = {tensor.name: tensor for tensor in saved.graph.initializer}
    first = bert_words().tokenizer.get_vocab_size()
    table, scale = (numpy_helper.to_array(held[name])[:first] for name in ("table", "scale"))
    for name, values in zip(("table", "scale"), eight_bits(with_rows(table.astype(np.float32) * scale)), strict=True):
        held[name].CopyFrom(numpy_helper.from_array(values, name))
    onnx.save(saved, model)
    print(f"{model}: SHA-256 {hashlib.sha256(model.read_bytes()).hexdigest()}, for BUILT_IN in classify/encoder.py")


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the product's glossary.")
    parser.add_argument("--onnx", type=Path, help="an exported model to give the new rows to")
    args = parser.parse_args()
    WRITTEN.write_text(text(), encoding="utf-8")
    found = read()
    print(f"{sum(map(len, found.kinds))} tokens, {len(found.made())} new rows")
    if args.onnx:
        replace_rows(args.onnx)


if __name__ == "__main__":
    main()
