"""The encoder's vectors, and what it says of model files it cannot use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router_service.classify.encoder import BUILT_IN, Encoder, load_encoder, verify
from router_service.errors import SetupError
from tests.unit.classify.tiny_onnx import FLOAT, INT32, INT64, tiny_model, write_model

TEXTS = ["hi", "write a poem about autumn", "def f(x): return x * x", "why does it rain? " * 40]


def test_vectors_have_length_one_and_alike_texts_are_close(encoder: Encoder) -> None:
    poem, verse, code = (encoder.embed(text) for text in ("write a poem", "compose some verses", "fix my Python code"))
    assert poem.dtype == np.float32
    assert poem.shape == (encoder.dimension,)
    assert [float(vector @ vector) for vector in (poem, verse, code)] == pytest.approx([1, 1, 1], abs=1e-5)
    assert poem @ verse > 0.5
    assert poem @ code < 0.3


def test_a_text_has_one_vector_whatever_is_encoded_before_or_beside_it(encoder: Encoder) -> None:
    alone = [encoder.embed(text) for text in TEXTS]
    with ThreadPoolExecutor(4) as threads:
        beside = list(threads.map(encoder.embed, [*TEXTS, *reversed(TEXTS)]))
    for first, second in zip([*alone, *reversed(alone)], beside, strict=True):
        np.testing.assert_array_equal(first, second)


def test_of_a_long_text_only_both_ends_count(encoder: Encoder) -> None:
    ends = "translate this " * 80, " into plain French" * 80
    assert encoder.embed("the sea was calm".join(ends)).tolist() == encoder.embed("a storm came up".join(ends)).tolist()
    assert encoder.embed("".join(ends)).tolist() != encoder.embed("".join(ends) + " now").tolist()


def test_the_empty_text_has_a_vector_too(encoder: Encoder) -> None:
    assert np.isfinite(encoder.embed("")).all()


# --- the built-in model's file ---


def test_a_model_file_with_another_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(b"other")
    with pytest.raises(SetupError) as caught:
        verify(replace(BUILT_IN, path=path))
    assert str(caught.value) == (
        f"{path} is not the model of this version: its SHA-256 is "
        "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa, expected "
        f"{BUILT_IN.sha256}; install router-service again, or name a model that you trust in router.embedded.model_dir"
    )


def test_a_missing_model_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"No such file or directory.*install router-service again"):
        load_encoder(built_in=replace(BUILT_IN, path=tmp_path / "encoder.onnx"))


def test_the_built_in_model_tells_a_new_request_from_a_turn_that_goes_on(encoder: Encoder) -> None:
    new, follow_up = (encoder.encode(text).opening for text in ("write me a poem about autumn", "yes, the second one"))
    assert new is not None
    assert follow_up is not None
    assert new > 0.6
    assert follow_up < 0.4


# --- other models ---


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(tiny_model(), id="last_hidden_state"),
        pytest.param(tiny_model(inputs={"input_ids": INT32}), id="int32 ids"),
        pytest.param(tiny_model(inputs={"input_ids": INT64, "attention_mask": INT64}), id="with a mask"),
        pytest.param(
            tiny_model(inputs={"input_ids": INT64, "attention_mask": INT64, "token_type_ids": INT64}), id="all inputs"
        ),
        pytest.param(tiny_model(output="sentence_embedding", rank=2, pooled=True), id="sentence_embedding"),
        pytest.param(tiny_model(output="embedding"), id="an output of another name"),
    ],
)
def test_another_model_is_used_as_its_inputs_and_outputs_say(tmp_path: Path, model: bytes) -> None:
    encoder = load_encoder(write_model(tmp_path, model))
    assert (encoder.dimension, encoder.name) == (2, f"{tmp_path}/model.onnx")
    assert encoder.embed("Code code").tolist() == [1.0, 0.0]
    assert encoder.embed("code poem").tolist() == pytest.approx([0.5**0.5, 0.5**0.5])


def test_a_model_that_knows_openings_of_a_conversation_tells_them_beside_the_vector(tmp_path: Path) -> None:
    encoder = load_encoder(write_model(tmp_path, tiny_model(opening=True)))
    assert (encoder.encode("code").vector.tolist(), encoder.encode("code").opening) == ([1.0, 0.0], 1.0)
    assert encoder.encode("unknown").opening == 0.0


def test_of_a_model_without_that_output_nothing_is_known_of_openings(tmp_path: Path) -> None:
    assert load_encoder(write_model(tmp_path, tiny_model())).encode("code").opening is None


def test_a_model_gets_no_more_tokens_than_its_config_allows(tmp_path: Path) -> None:
    write_model(tmp_path, tiny_model(positions=6))
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 6}')
    assert load_encoder(tmp_path).embed("code " * 100).tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(b"not onnx", "{model} is not a model that onnxruntime ", id="garbage"),
        pytest.param(
            tiny_model(inputs={"input_ids": INT64, "pixel_values": FLOAT}),
            "{model} is not a sentence encoder: its inputs are input_ids tensor(int64), pixel_values tensor(float); ",
            id="other inputs",
        ),
        pytest.param(tiny_model(positions=6), "{model} failed on a text of 256 tokens: ", id="too few positions"),
        pytest.param(
            tiny_model(output="embeddings", rank=2, pooled=True).replace(b"ReduceMean", b"ReduceProd"),
            "{model} answers with embeddings of shape (1, 2), which is no embedding",
            id="a vector without a direction",
        ),
    ],
)
def test_a_model_that_is_no_sentence_encoder_is_refused_at_the_start(
    tmp_path: Path, model: bytes, message: str
) -> None:
    write_model(tmp_path, model)
    with pytest.raises(SetupError) as caught:
        load_encoder(tmp_path)
    assert str(caught.value).startswith(message.format(model=tmp_path / "model.onnx"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("model.onnx", None, "model.onnx does not exist; put an ONNX sentence encoder there", id="model"),
        pytest.param("vocab.txt", None, "has neither tokenizer.json nor vocab.txt", id="tokenizer"),
        pytest.param("config.json", "{", "config.json cannot be read", id="config"),
    ],
)
def test_an_incomplete_model_directory_says_what_is_wrong(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    write_model(tmp_path, tiny_model())
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(SetupError, match=message):
        load_encoder(tmp_path)
