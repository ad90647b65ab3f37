"""Write the trained encoder as one ONNX file with 8-bit weights, and say what that cost.

    python export.py --weights FILE.safetensors --out encoder.onnx

Inputs `input_ids`, `attention_mask` [batch, tokens]; outputs `sentence_embedding` [batch, 384], of unit length, and
`opening` [batch], the probability that the turn asks for something new. Matrices: signed 8 bit with a scale per output
channel, activations quantised as they come. The word table has a scale per word: one scale for all of it costs accuracy
on rare words.

Activations have one scale for a whole text, and a few channels are many times larger than the others, which leaves
these two or three bits. So each channel is divided by a factor before it is quantised, and the matrix behind it
multiplied (SmoothQuant, Xiao et al. 2022): `ease`.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from data import outlines, read_outline
from encoder import HEADS, HIDDEN, Encoder, Layer, batch, embed, load, tokenizer
from glossary import eight_bits
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn
from torch.nn import functional

EASE = 0.7  # of the range that moves from the activations into the matrix; error of a cosine 0.0056, 0.0084 without
EASED_ON = 16  # one of so many of our own texts
OPSET = 17  # the first with LayerNormalization as one operator


class Eased(nn.Module):
    """A linear map whose input is scaled channel by channel; `seen` is the largest input of each channel."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.register_buffer("seen", torch.zeros(linear.in_features))
        self.register_buffer("factor", torch.ones(linear.in_features))
        self.watching = True

    def forward(self, x: Tensor) -> Tensor:
        if self.watching:
            self.seen = torch.maximum(self.seen, x.detach().abs().flatten(0, -2).amax(0))
            return self.linear(x)
        return self.linear(x * self.factor)

    def ease(self) -> None:
        rows = self.linear.weight.data.abs().amax(0).clamp(min=1e-5)
        wide = self.seen.clamp(min=1e-5) ** EASE / rows ** (1 - EASE)
        wide = wide / wide.mean()
        self.linear.weight.data = self.linear.weight.data * wide
        self.factor = 1 / wide
        self.watching = False


class ServedLayer(nn.Module):
    """`encoder.Layer` with query, key and value as one matrix: the input is quantised once instead of three times."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        mixing = layer.attention["self"]
        joined = nn.Linear(HIDDEN, 3 * HIDDEN)
        names = ("query", "key", "value")
        joined.weight.data = torch.cat([mixing[n].weight.data for n in names])
        joined.bias.data = torch.cat([mixing[n].bias.data for n in names])
        self.qkv, self.merge = Eased(joined), Eased(_copy(layer.attention["output"]["dense"]))
        self.inner, self.outer = Eased(_copy(layer.intermediate["dense"])), Eased(_copy(layer.output["dense"]))
        self.first = layer.attention["output"]["LayerNorm"]
        self.second = layer.output["LayerNorm"]

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        rows, tokens, width = x.shape[0], x.shape[1], HIDDEN // HEADS
        q, k, v = self.qkv(x).view(rows, tokens, 3, HEADS, width).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-1, -2) * width**-0.5 + bias, dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(rows, tokens, HIDDEN)
        x = self.first(x + self.merge(mixed))
        return self.second(x + self.outer(functional.gelu(self.inner(x))))


def _copy(linear: nn.Linear) -> nn.Linear:
    return copy.deepcopy(linear)


class Served(nn.Module):
    def __init__(self, model: Encoder) -> None:
        super().__init__()
        table, scale = eight_bits(model.embeddings["word_embeddings"].weight.data.numpy())
        self.register_buffer("table", torch.from_numpy(table))
        self.register_buffer("scale", torch.from_numpy(scale))
        positions = model.embeddings["position_embeddings"].weight.data
        self.register_buffer("positions", positions + model.embeddings["token_type_embeddings"].weight.data[0])
        self.norm = model.embeddings["LayerNorm"]
        self.layers = nn.ModuleList(ServedLayer(layer) for layer in model.encoder["layer"])
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        words = functional.embedding(input_ids, self.table).float() * functional.embedding(input_ids, self.scale)
        x = self.norm(words + self.positions[: input_ids.shape[1]])
        mask = attention_mask.float()
        bias = (1.0 - mask[:, None, None, :]) * -1e4
        for layer in self.layers:
            x = layer(x, bias)
        pooled = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
        unit = pooled / pooled.norm(dim=-1, keepdim=True)
        return unit, self.model.opening_probability(unit)


@torch.no_grad()
def served(model: Encoder, texts: Sequence[str]) -> Served:
    """The model as it is written, its channels eased for what occurs in `texts`."""
    found, tok = Served(model).eval(), tokenizer(256)
    for text in texts:
        found(*batch(tok([text])))
    for part in found.modules():
        if isinstance(part, Eased):
            part.ease()
    return found


def write(model: Encoder, out: Path, texts: Sequence[str], reduce_range: bool) -> None:
    full = out.with_suffix(".f32.onnx")
    ids = torch.ones(2, 9, dtype=torch.long)
    torch.onnx.export(
        served(model, texts), (ids, ids), full, dynamo=False, opset_version=OPSET, do_constant_folding=True,
        input_names=["input_ids", "attention_mask"], output_names=["sentence_embedding", "opening"],
        dynamic_axes={"input_ids": {0: "batch", 1: "tokens"}, "attention_mask": {0: "batch", 1: "tokens"},
                      "sentence_embedding": {0: "batch"}, "opening": {0: "batch"}},
    )  # fmt: skip
    quantize_dynamic(
        full,
        out,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=reduce_range,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    saved = onnx.load(out)
    saved.producer_name, saved.doc_string = "router-service training/export.py", ""
    onnx.checker.check_model(saved)
    onnx.save(saved, out)


def compare(model: Encoder, out: Path, texts: Sequence[str]) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(out), options, providers=["CPUExecutionProvider"])
    tok = tokenizer(256)
    exact = embed(model, tok, texts).numpy()
    served = []
    for text in texts:
        ids, mask = batch(tok([text]))
        served.append(session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0][0])
    cosines = (exact * np.array(served)).sum(1)
    print(f"{out.stat().st_size / 1e6:.1f} MB; cosine to f32: mean {cosines.mean():.4f}, lowest {cosines.min():.4f}")
    for words in (8, 128):
        text = " ".join(["please", "compare", "these", "two", "contracts", "for", "my", "client"] * (words // 8))
        spent = []
        for _ in range(60):
            begun = time.perf_counter()
            ids, mask = batch(tok([text]))
            session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
            spent.append(1000 * (time.perf_counter() - begun))
        print(
            f"{words} words, one thread: p50 {np.percentile(spent, 50):.1f} ms, p10 {np.percentile(spent, 10):.1f} ms"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the encoder as ONNX with 8-bit weights.")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--full-range", action="store_true", help="8 instead of 7 bits a weight: saturates without VNNI"
    )
    args = parser.parse_args()
    model = load(args.weights)
    own = outlines(Path(__file__).parent / "data_own")
    texts = [text for path in own for *_, written in read_outline(path) for text in written]
    write(model, args.out, texts[1::EASED_ON], reduce_range=not args.full_range)
    compare(model, args.out, texts[::EASED_ON])


if __name__ == "__main__":
    main()
