"""How near texts and phrases are to each other, in the eyes of two encoders that were tuned for nothing in particular.

    python teacher.py --data DIR --base DIR --teacher DIR --out teacher.npz [--prompts FILE.jsonl]

Owns: which texts are asked about (`pool`), and the teachers' vectors for them. train.py holds the small encoder to
these similarities on requests of every kind, so that learning a few hundred routes does not cost it everything else.
The teachers are all-mpnet-base-v2 and the untuned all-MiniLM-L6-v2; the mean of their cosines ranks better than either.

Specification: MPNet (Song et al. 2020), BERT with one bias per head and bucketed distance; pooled as in
sentence-transformers.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from data import NONE, excerpt, outlines, read_outline, read_rows
from encoder import embed, load, tokenizer
from safetensors.torch import load_file
from score import clauses
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from train import HELD_MMLU

HIDDEN, HEADS, LAYERS = 768, 12, 12
BUCKETS, FURTHEST = 32, 128
FIRST_POSITION = 2  # MPNet counts positions from behind its padding token
MAX_TOKENS = 96
TOKENS_AT_ONCE = 3000
# texts per file; of mmlu only what is trained on
TEXTS = {"banking77": 250, "hwu64": 500, "slurp": 100, "own_llm_prompts": 500, "bbh": 200, "gsm8k": 80, "mmlu": 800}
OWN_TEXTS, PHRASES = 3000, 9000  # of our own outlines, of all
FOREIGN = ("multilingual", "languages")  # outlines that the teachers do not understand


def pool(folder: Path, own: Path, prompts: Path | None, seed: int) -> tuple[list[str], list[str]]:
    """Requests of every kind, and phrases that name a subject or a task."""
    rng = random.Random(seed)
    texts: dict[str, None] = {}
    phrases: dict[str, None] = {}
    for stem, count in TEXTS.items():
        rows = read_rows(folder / f"{stem}.jsonl")
        named = {(r["route"], r["description"]) for r in rows}
        if stem == "mmlu":
            rows = [r for i, r in enumerate(rows) if i % HELD_MMLU]
        texts.update(dict.fromkeys(excerpt(r["text"]) for r in rng.sample(rows, count)))
        for name, description in sorted(named):
            phrases.update(dict.fromkeys([name, description, *clauses(description)]))
    ours: list[str] = []
    for path in outlines(own):
        if path.name.startswith(FOREIGN):
            continue
        for _, name, descriptions, written in read_outline(path):
            ours += map(excerpt, written)
            if name != NONE:
                phrases.update(dict.fromkeys([name, *descriptions, *(c for d in descriptions for c in clauses(d))]))
    texts.update(dict.fromkeys(rng.sample(ours, min(OWN_TEXTS, len(ours)))))
    if prompts:
        texts.update(dict.fromkeys(excerpt(r["text"]) for r in read_rows(prompts)))
    return list(texts), rng.sample(list(phrases), min(PHRASES, len(phrases)))


class Teacher:
    def __init__(self, folder: Path) -> None:
        self._weights = {k.removeprefix("mpnet."): v for k, v in load_file(folder / "model.safetensors").items()}
        self._half = {k: v.bfloat16() for k, v in self._weights.items() if ".layer." in k and v.dim() == 2}
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [texts, 768]."""
        ids = [e.ids for e in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out = torch.zeros(len(ids), HIDDEN)
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end - start + 1) * len(ids[order[end]]) <= TOKENS_AT_ONCE:
                end += 1
            part, width = order[start:end], len(ids[order[end - 1]])
            padded = torch.tensor([ids[i] + [1] * (width - len(ids[i])) for i in part])
            mask = torch.tensor([[1] * len(ids[i]) + [0] * (width - len(ids[i])) for i in part])
            out[part] = self._forward(padded, mask)
            start = end
        return out

    def _forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        width, table = ids.shape[1], self._weights
        places = torch.arange(width)
        x = table["embeddings.word_embeddings.weight"][ids]
        x = self._norm(
            x + table["embeddings.position_embeddings.weight"][places + FIRST_POSITION], "embeddings.LayerNorm"
        )
        distance = table["encoder.relative_attention_bias.weight"][_bucket(places[None] - places[:, None])]
        bias = distance.permute(2, 0, 1)[None] + (1 - mask[:, None, None, :].float()) * -1e4
        for i in range(LAYERS):
            at = f"encoder.layer.{i}"
            split = (*x.shape[:2], HEADS, HIDDEN // HEADS)
            heads = [self._linear(x, f"{at}.attention.attn.{n}").view(split).transpose(1, 2) for n in "qkv"]
            mixed = functional.scaled_dot_product_attention(*heads, attn_mask=bias)
            mixed = self._linear(mixed.transpose(1, 2).reshape(x.shape), f"{at}.attention.attn.o")
            x = self._norm(x + mixed, f"{at}.attention.LayerNorm")
            inner = functional.gelu(self._linear(x, f"{at}.intermediate.dense"))
            x = self._norm(x + self._linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        weight = mask[:, :, None].float()
        return functional.normalize((x * weight).sum(1) / weight.sum(1), dim=-1)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(
            x.bfloat16(), self._half[f"{name}.weight"], self._weights[f"{name}.bias"].bfloat16()
        ).float()

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(
            x, (HIDDEN,), self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], eps=1e-5
        )


def _bucket(ahead: Tensor) -> Tensor:
    """T5's buckets: near distances one by one, far ones in steps that grow, both directions apart."""
    half, exact = BUCKETS // 2, BUCKETS // 4
    behind = -ahead
    far = behind.abs()
    grown = exact + (torch.log(far.float().clamp(min=1) / exact) / math.log(FURTHEST / exact) * (half - exact)).long()
    return (behind < 0).long() * half + torch.where(far < exact, far, grown.clamp(max=half - 1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Vectors of a larger encoder for train.py.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the .jsonl files named in README.md")
    parser.add_argument("--base", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of all-mpnet-base-v2")
    parser.add_argument("--own", type=Path, default=Path(__file__).parent / "data_own")
    parser.add_argument("--prompts", type=Path, help=".jsonl with more requests (`text`)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    texts, phrases = pool(args.data, args.own, args.prompts, args.seed)
    asked = [*texts, *phrases]
    small = embed(load(args.base / "model.safetensors"), tokenizer(MAX_TOKENS), asked)
    both = torch.cat([Teacher(args.teacher).embed(asked), small], dim=1)
    vectors = (both * 0.5**0.5).half().numpy()  # of length one again: a product is the mean of two cosines
    np.savez(args.out, texts=json.dumps(texts), phrases=json.dumps(phrases), vectors=vectors)
    print(f"{len(texts)} texts and {len(phrases)} phrases")


if __name__ == "__main__":
    main()
