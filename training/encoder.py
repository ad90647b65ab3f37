"""The encoder: BERT's forward pass for all-MiniLM-L6-v2's weights, small enough to read, and exportable to ONNX.

Owns: tensors in, sentence vectors out. Never reads training data.
Specification: "BERT" (Devlin et al. 2018), with mean pooling and L2 normalisation as in sentence-transformers. The
parameter names are those of the safetensors file, so that loading is a plain `load_state_dict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import glossary
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from router_service.classify.tokenizer import Words, built_in_tokenizer

HIDDEN, HEADS, LAYERS, INNER, BERT_PIECES, POSITIONS = 384, 12, 6, 1536, 30522, 512
LAYER_NORM_EPS = 1e-12
OPENING_CERTAINTY = 0.5
WORD_TABLE = "embeddings.word_embeddings.weight"
UNIT_TO_LOGIT = 20.0  # components of a unit vector are about 0.05: keeps the head's weights near one


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(HIDDEN, HIDDEN) for name in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": nn.Linear(HIDDEN, HIDDEN), "LayerNorm": _norm()}),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(HIDDEN, INNER)})
        self.output = nn.ModuleDict({"dense": nn.Linear(INNER, HIDDEN), "LayerNorm": _norm()})

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        project, merge = self.attention["self"], self.attention["output"]
        heads = [
            project[name](x).view(x.shape[0], x.shape[1], HEADS, HIDDEN // HEADS).transpose(1, 2)
            for name in ("query", "key", "value")
        ]
        mixed = functional.scaled_dot_product_attention(*heads, attn_mask=bias)
        x = merge["LayerNorm"](x + merge["dense"](mixed.transpose(1, 2).reshape(x.shape)))
        inner = functional.gelu(self.intermediate["dense"](x))
        return self.output["LayerNorm"](x + self.output["dense"](inner))


class Encoder(nn.Module):
    def __init__(self, rows: int) -> None:
        """`rows` of the word table: BERT's pieces and the glossary's own."""
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(rows, HIDDEN),
                "position_embeddings": nn.Embedding(POSITIONS, HIDDEN),
                "token_type_embeddings": nn.Embedding(2, HIDDEN),
                "LayerNorm": _norm(),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(LAYERS))})
        self.opening = nn.Linear(HIDDEN, 1)  # log odds that a turn asks for something new, see turns.py
        nn.init.zeros_(self.opening.weight)
        nn.init.zeros_(self.opening.bias)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """`ids` and `mask` [batch, tokens] -> unit vectors [batch, 384]."""
        table = self.embeddings
        x = table["word_embeddings"](ids) + table["position_embeddings"].weight[: ids.shape[1]]
        x = table["LayerNorm"](x + table["token_type_embeddings"].weight[0])
        bias = (1.0 - mask[:, None, None, :].to(x.dtype)) * -1e4
        for layer in self.encoder["layer"]:
            x = layer(x, bias)
        weight = mask[:, :, None].to(x.dtype)
        pooled = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
        return functional.normalize(pooled.float(), dim=-1)

    def opening_probability(self, vectors: Tensor) -> Tensor:
        """What is served: `turn`, softened, because the head is surer of other people's dialogues than it is right."""
        return torch.sigmoid(OPENING_CERTAINTY * self.turn(vectors))

    def turn(self, vectors: Tensor) -> Tensor:
        """Unit vectors [batch, 384] -> log odds [batch] that the turn opens a new request."""
        return self.opening(vectors * UNIT_TO_LOGIT).squeeze(-1)


def _norm() -> nn.LayerNorm:
    return nn.LayerNorm(HIDDEN, eps=LAYER_NORM_EPS)


def load(weights: Path) -> Encoder:
    """The glossary's rows are made anew: they are not trained, and not saved."""
    state = {k.removeprefix("bert."): v for k, v in load_file(weights).items()}
    state[WORD_TABLE] = torch.from_numpy(glossary.with_rows(state[WORD_TABLE].numpy()))
    model = Encoder(len(state[WORD_TABLE]))
    known = {k: v for k, v in state.items() if k in model.state_dict()}
    model.load_state_dict({"opening.weight": model.opening.weight, "opening.bias": model.opening.bias, **known})
    return model.eval()


def save(model: Encoder, weights: Path) -> None:
    state = model.state_dict()
    state[WORD_TABLE] = state[WORD_TABLE][:BERT_PIECES]
    save_file({name: value.contiguous() for name, value in state.items()}, weights)


def interpolate(base: Encoder, tuned: Encoder, share: float) -> Encoder:
    """Weights `(1 - share) * base + share * tuned`: keeps the base's generality at little cost."""
    old, new = base.state_dict(), tuned.state_dict()
    merged = Encoder(len(old[WORD_TABLE]))
    merged.load_state_dict({k: torch.lerp(old[k], new[k], share) for k in old})
    return merged.eval()


@dataclass(frozen=True)
class Tokens:
    """The product's tokenizer, for texts of at most `limit` tokens."""

    limit: int
    words: Words

    def __call__(self, texts: Sequence[str]) -> list[Sequence[int]]:
        return [self.words.encode(text, self.limit) for text in texts]


def tokenizer(limit: int) -> Tokens:
    return Tokens(limit, built_in_tokenizer())


def batch(encoded: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Texts as rows of the word table -> `ids` and `mask` [texts, tokens]."""
    width = max(map(len, encoded))
    ids = torch.zeros(len(encoded), width, dtype=torch.long)
    mask = torch.zeros(len(encoded), width, dtype=torch.long)
    for row, tokens in enumerate(encoded):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    return ids, mask


@torch.no_grad()
def embed(model: Encoder, tok: Tokens, texts: Sequence[str], rows: int = 64) -> Tensor:
    """Unit vectors of `texts`, in order; sorted by length inside so that little is padded."""
    out = torch.zeros(len(texts), HIDDEN)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), rows):
        part = order[start : start + rows]
        out[part] = model(*batch(tok([texts[i] for i in part])))
    return out
