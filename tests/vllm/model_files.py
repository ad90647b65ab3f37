"""Qwen2-shaped models made on the spot: the contract with vLLM needs a tokenizer and logits, its timing only shapes.

Owns one directory with what vLLM loads: config.json, a byte-level BPE tokenizer trained here with ChatML's special
tokens and template, and for a small model random weights in safetensors (a length, a JSON header, the bytes:
https://github.com/huggingface/safetensors). The same seed makes the same model. A large one is started with vLLM's own
`--load-format dummy`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# Qwen2's split: contractions, a letter run with one leading sign, single digits, sign runs, line ends, white space.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Wide enough that the tokens' probabilities differ clearly: near-ties would be decided by the order of summation.
_SPREAD = 0.08


@dataclass(frozen=True, slots=True)
class Shape:
    """In Qwen2's words. `words` is how many tokens the tokenizer learns; the others of the vocabulary stay unused."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    words: int


TINY = Shape(hidden=256, layers=2, heads=4, kv_heads=2, intermediate=512, vocabulary=2048, words=2048)
# https://huggingface.co/katanemo/Arch-Router-1.5B/blob/main/config.json
ARCH_ROUTER = Shape(hidden=1536, layers=28, heads=12, kv_heads=2, intermediate=8960, vocabulary=151936, words=16384)


def make_tiny_model(directory: Path, corpus: Sequence[str], *, seed: int = 7) -> None:
    """A model with weights; `corpus` is what the tokenizer learns its words from."""
    make_model_without_weights(directory, corpus, TINY)
    _write_safetensors(directory / "model.safetensors", dict(_weights(TINY, np.random.default_rng(seed))))


def make_model_without_weights(directory: Path, corpus: Iterable[str], shape: Shape) -> None:
    """Everything but weights, for `--load-format dummy`."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _train_tokenizer(corpus, shape.words)
    tokenizer.save(str(directory / "tokenizer.json"))
    _write(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "chat_template": _CHATML,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "model_max_length": 32768,
            "clean_up_tokenization_spaces": False,
        },
    )
    _write(
        directory / "config.json",
        {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "intermediate_size": shape.intermediate,
            "vocab_size": shape.vocabulary,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1_000_000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": shape is not TINY,
            "torch_dtype": "bfloat16",
            "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
            "bos_token_id": tokenizer.token_to_id("<|endoftext|>"),
        },
    )


def _train_tokenizer(corpus: Iterable[str], words: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def _weights(shape: Shape, random: np.random.Generator) -> Iterator[tuple[str, NDArray[np.float32]]]:
    hidden, head_size = shape.hidden, shape.hidden // shape.heads

    def normal(*sizes: int) -> NDArray[np.float32]:
        return (random.standard_normal(sizes) * _SPREAD).astype(np.float32)

    def ones(size: int) -> NDArray[np.float32]:
        return np.ones(size, dtype=np.float32)

    yield "model.embed_tokens.weight", normal(shape.vocabulary, hidden)
    for layer in range(shape.layers):
        name = f"model.layers.{layer}"
        yield f"{name}.input_layernorm.weight", ones(hidden)
        yield f"{name}.post_attention_layernorm.weight", ones(hidden)
        for projection, size in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads)):
            yield f"{name}.self_attn.{projection}_proj.weight", normal(size * head_size, hidden)
            yield f"{name}.self_attn.{projection}_proj.bias", normal(size * head_size)
        yield f"{name}.self_attn.o_proj.weight", normal(hidden, hidden)
        yield f"{name}.mlp.gate_proj.weight", normal(shape.intermediate, hidden)
        yield f"{name}.mlp.up_proj.weight", normal(shape.intermediate, hidden)
        yield f"{name}.mlp.down_proj.weight", normal(hidden, shape.intermediate)
    yield "model.norm.weight", ones(hidden)
    yield "lm_head.weight", normal(shape.vocabulary, hidden)


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1))


def _write_safetensors(path: Path, tensors: dict[str, NDArray[np.float32]]) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, offset + tensor.nbytes]}
        offset += tensor.nbytes
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)))
        file.write(encoded)
        for tensor in tensors.values():
            file.write(tensor.tobytes())
