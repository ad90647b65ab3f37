"""A Qwen2-shaped model made on the spot: the contract with vLLM needs a tokenizer and logits, not sense.

Owns one directory with what vLLM loads: config.json, a byte-level BPE tokenizer trained here with ChatML's special
tokens and template, and random weights in safetensors (https://github.com/huggingface/safetensors: a length, a JSON
header, the bytes). The same seed makes the same model.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
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
_VOCABULARY = 2048
_HIDDEN = 256
_LAYERS = 2
_HEADS = 4
_KV_HEADS = 2
_INTERMEDIATE = 512
_HEAD_SIZE = _HIDDEN // _HEADS
# Wide enough that the tokens' probabilities differ clearly: near-ties would be decided by the order of summation.
_SPREAD = 0.08


def make_tiny_model(directory: Path, corpus: Sequence[str], *, seed: int = 7) -> None:
    """Write the model; `corpus` is what the tokenizer learns its words from."""
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = _train_tokenizer(corpus)
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
            "hidden_size": _HIDDEN,
            "num_hidden_layers": _LAYERS,
            "num_attention_heads": _HEADS,
            "num_key_value_heads": _KV_HEADS,
            "intermediate_size": _INTERMEDIATE,
            "vocab_size": _VOCABULARY,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1_000_000.0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "torch_dtype": "float32",
            "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
            "bos_token_id": tokenizer.token_to_id("<|endoftext|>"),
        },
    )
    _write_safetensors(directory / "model.safetensors", dict(_weights(np.random.default_rng(seed))))


def _train_tokenizer(corpus: Sequence[str]) -> Tokenizer:
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
        vocab_size=_VOCABULARY,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def _weights(random: np.random.Generator) -> Iterator[tuple[str, NDArray[np.float32]]]:
    def normal(*shape: int) -> NDArray[np.float32]:
        return (random.standard_normal(shape) * _SPREAD).astype(np.float32)

    def ones(size: int) -> NDArray[np.float32]:
        return np.ones(size, dtype=np.float32)

    yield "model.embed_tokens.weight", normal(_VOCABULARY, _HIDDEN)
    for layer in range(_LAYERS):
        name = f"model.layers.{layer}"
        yield f"{name}.input_layernorm.weight", ones(_HIDDEN)
        yield f"{name}.post_attention_layernorm.weight", ones(_HIDDEN)
        for projection, size in (("q", _HEADS), ("k", _KV_HEADS), ("v", _KV_HEADS)):
            yield f"{name}.self_attn.{projection}_proj.weight", normal(size * _HEAD_SIZE, _HIDDEN)
            yield f"{name}.self_attn.{projection}_proj.bias", normal(size * _HEAD_SIZE)
        yield f"{name}.self_attn.o_proj.weight", normal(_HIDDEN, _HIDDEN)
        yield f"{name}.mlp.gate_proj.weight", normal(_INTERMEDIATE, _HIDDEN)
        yield f"{name}.mlp.up_proj.weight", normal(_INTERMEDIATE, _HIDDEN)
        yield f"{name}.mlp.down_proj.weight", normal(_HIDDEN, _INTERMEDIATE)
    yield "model.norm.weight", ones(_HIDDEN)
    yield "lm_head.weight", normal(_VOCABULARY, _HIDDEN)


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
