"""The body's one edit leaves every other byte as the client sent it."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.errors import InvalidRequest
from router_service.routing.body import MAX_MEMBERS, read_body

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
whitespace = st.text(" \t\n\r", max_size=3)


@st.composite
def written_objects(draw: st.DrawFn) -> tuple[str, dict[str, object], str | None]:
    """A JSON object as text with random spacing and escapes, its members, and the text of `model`'s value if any."""
    members: dict[str, object] = dict(
        draw(st.dictionaries(st.text(max_size=8).filter(lambda name: name != "model"), json_values, max_size=6))
    )
    names = list(members)
    if draw(st.booleans()):
        names.insert(draw(st.integers(0, len(names))), "model")
        members["model"] = draw(st.text(max_size=20))
    parts, model_text = [], None
    for name in names:
        ascii_only = draw(st.booleans())
        value = json.dumps(members[name], ensure_ascii=ascii_only)
        key = json.dumps(name, ensure_ascii=ascii_only)
        if name == "model":
            model_text = value
            key = draw(st.sampled_from(['"model"', '"mod\\u0065l"']))
        parts.append(f"{draw(whitespace)}{key}{draw(whitespace)}:{draw(whitespace)}{value}{draw(whitespace)}")
    text = f"{draw(whitespace)}{{{draw(whitespace)}{','.join(parts)}}}{draw(whitespace)}"
    return text, members, model_text


@given(written_objects(), st.text(max_size=20))
def test_every_byte_outside_model_is_unchanged(
    written: tuple[str, dict[str, object], str | None], model_id: str
) -> None:
    # Invariant: the edited body is the old one with one slice replaced, and it means the same with the new model.
    text, members, model_text = written
    if any(0xD800 <= ord(c) < 0xE000 for c in text):
        return
    raw = text.encode()
    body = read_body(raw)
    edited = body.with_model(model_id)
    start, end = body.model_span
    assert edited.startswith(raw[:start])
    assert edited.endswith(raw[end:])
    assert raw[start:end].decode() == (model_text or "")
    assert body.model == members.get("model")
    assert json.loads(edited) == {**members, "model": model_id}


def test_big_integers_key_order_escapes_and_spaces_survive() -> None:
    raw = b'{ "seed" : 12345678901234567890,\n "z":1e400, "model":"auto","a":"\\u00e9\\/" }'
    assert read_body(raw).with_model("gpt-5") == raw.replace(b'"auto"', b'"gpt-5"')


def test_a_model_inside_another_field_is_not_the_model() -> None:
    raw = b'{"metadata":{"model":"inner"},"messages":[{"model":"x"}],"model":"outer"}'
    body = read_body(raw)
    assert body.model == "outer"
    assert body.with_model("new") == raw.replace(b'"outer"', b'"new"')


@pytest.mark.parametrize(
    ("raw", "edited"),
    [
        pytest.param(b"{}", b'{"model":"m"}', id="empty object"),
        pytest.param(b' { "a" : 1 } ', b' { "model":"m","a" : 1 } ', id="missing"),
        pytest.param(b'{"model":null}', b'{"model":"m"}', id="null"),
        pytest.param(b'{"model":""}', b'{"model":"m"}', id="empty"),
        pytest.param(b'{"model"\t:\n"a\\"b"}', b'{"model"\t:\n"m"}', id="escaped quote in the old value"),
    ],
)
def test_the_model_is_set_where_it_was_or_first(raw: bytes, edited: bytes) -> None:
    assert read_body(raw).with_model("m") == edited


@pytest.mark.parametrize(
    ("raw", "message", "param"),
    [
        pytest.param(b"", "The request has no body; send a JSON object.", None, id="empty body"),
        pytest.param(b"[]", "The body must be a JSON object.", None, id="array"),
        pytest.param(b'"x"', "The body must be a JSON object.", None, id="string"),
        pytest.param(b'{"a":', "The body is not valid JSON: Input data was truncated.", None, id="truncated"),
        pytest.param(
            b"{'a':1}", "The body is not valid JSON: object keys must be strings (byte 1).", None, id="quotes"
        ),
        pytest.param(b'{"a":"\xff"}', "The body is not UTF-8 (byte 6).", None, id="not UTF-8"),
        pytest.param(b'{"a":' + b"[" * 100_000, "The body is nested too deeply.", None, id="too deep"),
        pytest.param(b'{"model":1}', "'model' must be a string.", "model", id="model a number"),
        pytest.param(b'{"model":["a"]}', "'model' must be a string.", "model", id="model a list"),
        pytest.param(
            b'{"model":"a","model":"b"}', "The field 'model' occurs more than once.", "model", id="two models"
        ),
        pytest.param(
            b'{"model":"a","model":"a"}', "The field 'model' occurs more than once.", "model", id="same twice"
        ),
        pytest.param(b'{"n":12,"n":1}', "The field 'n' occurs more than once.", "n", id="a number that begins another"),
        pytest.param(
            b'{"n":[],"model":"a","n":{}}', "The field 'n' occurs more than once.", "n", id="other field twice"
        ),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_by_name(raw: bytes, message: str, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_body(raw)
    assert (refused.value.message, refused.value.param, refused.value.status) == (message, param, 400)


def test_the_number_of_top_level_fields_is_bounded() -> None:
    fits = json.dumps({str(i): i for i in range(MAX_MEMBERS)}).encode()
    assert len(read_body(fits).members) == MAX_MEMBERS
    with pytest.raises(InvalidRequest, match=f"{MAX_MEMBERS + 1} top-level fields"):
        read_body(json.dumps({str(i): i for i in range(MAX_MEMBERS + 1)}).encode())


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    # Invariant: no exception but InvalidRequest leaves read_body.
    with contextlib.suppress(InvalidRequest):
        read_body(raw)
