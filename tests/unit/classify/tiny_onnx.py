"""Sentence encoders of a few hundred bytes: ONNX files written with nothing but protobuf's wire format.

Field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. The models look a token's row up in a
table; some pool it, some break on purpose.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

FLOAT, INT32, INT64 = 1, 6, 7  # TensorProto.DataType

VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "code", "poem")
TABLE = ((0.0, 0.0), (0.0, -1.0), (0.0, 0.0), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0))


def tiny_model(
    *,
    inputs: Mapping[str, int] = {"input_ids": INT64},
    output: str = "last_hidden_state",
    rank: int = 3,
    positions: int | None = None,
    pooled: bool = False,
    opening: bool = False,
) -> bytes:
    """A model that gives each token its row of TABLE; with `positions`, it takes texts of exactly that length.

    `opening` adds an output of that name: the greatest number in the rows.
    """
    initializers = [_tensor("table", (len(TABLE), 2), [value for row in TABLE for value in row])]
    nodes = [_node("Gather", ["table", "input_ids"], "rows" if pooled or positions else output)]
    if positions is not None:
        initializers.append(_tensor("positions", (1, positions, 2), [0.0] * (positions * 2)))
        nodes.append(_node("Add", ["rows", "positions"], output))
    if pooled:
        initializers.append(_int_tensor("axis", [1]))
        nodes.append(_node("ReduceMean", ["rows", "axis"], output, keepdims=0))
    if opening:
        initializers.append(_int_tensor("axes", [1, 2]))
        nodes.append(_node("ReduceMax", ["rows" if pooled or positions else output, "axes"], "opening", keepdims=0))
    graph = b"".join(
        [
            *(_field(1, node) for node in nodes),
            _field(2, b"tiny"),
            *(_field(5, tensor) for tensor in initializers),
            *(_field(11, _value(name, kind, 2)) for name, kind in inputs.items()),
            _field(12, _value(output, FLOAT, rank)),
            *([_field(12, _value("opening", FLOAT, 1))] if opening else []),
        ]
    )
    return _number(1, 8) + _field(7, graph) + _field(8, _number(2, 18))


def write_model(directory: Path, model: bytes) -> Path:
    """A model directory with its vocabulary."""
    (directory / "model.onnx").write_bytes(model)
    (directory / "vocab.txt").write_text("\n".join(VOCABULARY))
    return directory


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _node(operator: str, inputs: Sequence[str], output: str, **attributes: int) -> bytes:
    named = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode())
    options = (
        _field(5, _field(1, key.encode()) + _number(3, value) + _number(20, 2)) for key, value in attributes.items()
    )
    return named + _field(4, operator.encode()) + b"".join(options)


def _tensor(name: str, shape: Sequence[int], values: Sequence[float]) -> bytes:
    dimensions = b"".join(_number(1, size) for size in shape)
    return (
        dimensions + _number(2, FLOAT) + _field(8, name.encode()) + _field(9, struct.pack(f"<{len(values)}f", *values))
    )


def _int_tensor(name: str, values: Sequence[int]) -> bytes:
    raw = struct.pack(f"<{len(values)}q", *values)
    return _number(1, len(values)) + _number(2, INT64) + _field(8, name.encode()) + _field(9, raw)


def _value(name: str, kind: int, rank: int) -> bytes:
    shape = b"".join(_field(1, _field(2, f"{name}_{axis}".encode())) for axis in range(rank))
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, kind) + _field(2, shape)))
