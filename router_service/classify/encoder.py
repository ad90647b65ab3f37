"""From a text to a vector: a sentence encoder on onnxruntime, on one CPU thread.

Owns the model file: finding it, its hash, the session's settings, pooling. Never decides anything about routes
(`routing.scoring`). It blocks: `classify.embedded` calls it in a thread, and onnxruntime gives the GIL back meanwhile.

One text per run, although a batch would be a third cheaper: dynamically quantised models take their activations' scale
from the whole input, so neighbours and padding change a text's vector (measured: cosine 0.984 between the same text
alone and among seven others). The same request must get the same answer.

One thread per run: workers are processes, one per core, and a pool of threads only makes them compete. It also keeps a
session free of threads, so that a process which loads it and forks afterwards shares its pages with its children.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from router_service.classify.tokenizer import Words, built_in_tokenizer, load_tokenizer
from router_service.config.models import Embedded
from router_service.errors import SetupError
from router_service.routing.scoring import Encoded, Vector

# What all-MiniLM-L6-v2 was trained on, and more than the ends of a long turn need; the cost grows with the length.
MAX_TOKENS = 256

_ORT_ERRORS = (  # they have no base class of their own
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
_TYPES: Mapping[str, npt.DTypeLike] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_OUTPUTS = ("sentence_embedding", "last_hidden_state", "token_embeddings")  # the first is pooled by the model itself
_OPENING = "opening"  # (batch,): what `Encoded.opening` is; only our own models have it (training/)


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The model that comes with this package; a file with another hash is never run."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        return f"built-in encoder {self.sha256[:8]}"


# all-MiniLM-L6-v2 (sentence-transformers, Apache-2.0), tuned and quantised by training/; data/README.md tells more.
BUILT_IN = BuiltIn(
    path=Path(__file__).parent / "data" / "encoder.onnx",
    sha256="a0b8b1ea0c039cedff95d5d679286b65ba790eba3e3e8643cb288ffd2605d04b",
)


class Encoder:
    """A loaded model. Threads may share it. Use `load_encoder`."""

    def __init__(self, session: ort.InferenceSession, words: Words, *, name: str, max_tokens: int) -> None:
        self._session = session
        self._words = words
        self._max_tokens = max_tokens
        self._inputs = _inputs(session, name)
        outputs = [output.name for output in session.get_outputs()]
        self._outputs = [next((known for known in _OUTPUTS if known in outputs), outputs[0])]
        if _OPENING in outputs:
            self._outputs.append(_OPENING)
        self.name = name
        # The longest input shows now, and not at a request, that the model's positions suffice.
        self.dimension = len(self.embed("word " * max_tokens))

    def embed(self, text: str) -> Vector:
        """The vector alone."""
        return self.encode(text).vector

    def encode(self, text: str) -> Encoded:
        """A vector of length one, and `opening` where the model tells it.

        SetupError if the model cannot take the text: out of memory, or a broken model.
        """
        ids = self._words.encode(text, self._max_tokens)
        fill = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)}
        feed = {name: np.array([fill[name]], dtype=dtype) for name, dtype in self._inputs.items()}
        try:
            output, *opening = self._session.run(self._outputs, feed)
        except _ORT_ERRORS as error:
            raise SetupError(f"{self.name} failed on a text of {len(ids)} tokens: {error}") from error
        vector = np.asarray(output[0], dtype=np.float32)
        if vector.ndim == 2:
            vector = vector.mean(axis=0)  # one text without padding: every position counts
        length = float(np.linalg.norm(vector))
        if vector.ndim != 1 or not length > 0 or not np.isfinite(length):
            raise SetupError(
                f"{self.name} answers with {self._outputs[0]} of shape {output.shape}, which is no embedding"
            )
        return Encoded(vector / np.float32(length), float(opening[0].item()) if opening else None)


def load_encoder(model_dir: Path | None = None, *, built_in: BuiltIn = BUILT_IN) -> Encoder:
    """The encoder in `model_dir` (model.onnx with tokenizer.json or vocab.txt), or the built-in one. SetupError."""
    encoder = _load_built_in(built_in) if model_dir is None else _load_directory(model_dir)
    _release_free_memory()
    return encoder


def configured_encoder(settings: Embedded) -> Encoder:
    """The one that a configuration names, or the built-in one. SetupError."""
    return load_encoder(Path(settings.model_dir) if settings.model_dir else None)


def _load_built_in(model: BuiltIn) -> Encoder:
    verify(model)
    return Encoder(_session(model.path), built_in_tokenizer(), name=model.name, max_tokens=MAX_TOKENS)


def verify(model: BuiltIn) -> None:
    """SetupError unless the file is the one this version was measured with."""
    try:
        with model.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SetupError(
            f"{model.path}, the embedded classifier's model, cannot be read ({error.strerror}); install router-service "
            "again, or name another model in router.embedded.model_dir"
        ) from error
    if found != model.sha256:
        raise SetupError(
            f"{model.path} is not the model of this version: its SHA-256 is {found}, expected {model.sha256}; install "
            "router-service again, or name a model that you trust in router.embedded.model_dir"
        )


def _load_directory(model_dir: Path) -> Encoder:
    model = model_dir / "model.onnx"
    if not model.is_file():
        raise SetupError(f"{model} does not exist; put an ONNX sentence encoder there (router.embedded.model_dir)")
    words = load_tokenizer(model_dir)
    try:
        session = _session(model)
    except _ORT_ERRORS as error:
        raise SetupError(f"{model} is not a model that onnxruntime {ort.__version__} can load: {error}") from error
    return Encoder(session, words, name=str(model), max_tokens=min(MAX_TOKENS, _positions(model_dir)))


def _positions(model_dir: Path) -> int:
    """How many tokens the model can tell apart, if its config.json says so."""
    try:
        config = json.loads((model_dir / "config.json").read_bytes())
    except FileNotFoundError:
        return MAX_TOKENS
    except (OSError, ValueError) as error:
        raise SetupError(f"{model_dir / 'config.json'} cannot be read: {error}") from error
    positions = config.get("max_position_embeddings") if isinstance(config, dict) else None
    return positions if isinstance(positions, int) and positions > 0 else MAX_TOKENS


def _session(model: Path) -> ort.InferenceSession:
    """By path: large models keep their weights in files beside them, and a session holds on to bytes it was given."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # it keeps one plan per length of text: 17 MB for nothing measurable
    options.log_severity_level = 4  # errors are raised; printing them too would put a line without context in the log
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _inputs(session: ort.InferenceSession, name: str) -> Mapping[str, npt.DTypeLike]:
    """The model's inputs with their types. SetupError for one that we do not know how to fill."""
    found = {entry.name: entry.type for entry in session.get_inputs()}
    if "input_ids" not in found or not found.keys() <= _INPUTS or not set(found.values()) <= _TYPES.keys():
        shown = ", ".join(f"{input_name} {kind}" for input_name, kind in found.items())
        raise SetupError(
            f"{name} is not a sentence encoder: its inputs are {shown}; expected integers, input_ids and perhaps "
            "attention_mask and token_type_ids"
        )
    return {input_name: _TYPES[kind] for input_name, kind in found.items()}


def _release_free_memory() -> None:
    """Give what loading left over back to the system: 60 of 210 MB. Only glibc keeps it and knows how."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
