"""A file becomes a configuration, or every problem it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_service.config.load import MAX_FILE_BYTES, load, loads
from router_service.errors import ConfigError

SMALLEST = "model_providers:\n  - model: openai/gpt-5\n    access_key: $OPENAI_API_KEY\n    default: true\n"
ENVIRON = {"OPENAI_API_KEY": "sk-from-the-environment"}


def test_the_smallest_file_loads_without_a_warning() -> None:
    loaded = loads(SMALLEST, ENVIRON)
    assert loaded.warnings == ()
    assert not loaded.missing
    assert [model.name for model in loaded.catalog.models] == ["openai/gpt-5"]
    assert (loaded.config.listeners[0].address, loaded.config.listeners[0].port) == ("0.0.0.0", 10000)
    key = loaded.config.model_providers[0].access_key
    assert key is not None
    assert key.get_secret_value() == "sk-from-the-environment"


def test_a_variable_that_is_not_set_leaves_the_entry_without_a_key_and_warns() -> None:
    loaded = loads(SMALLEST, {})
    assert loaded.missing == {"openai/gpt-5": ("OPENAI_API_KEY",)}
    assert loaded.config.model_providers[0].access_key is None
    assert [(warning.line, warning.path) for warning in loaded.warnings] == [(3, "model_providers[0].access_key")]


def test_all_problems_are_reported_in_one_run_in_the_order_of_the_file() -> None:
    text = (
        SMALLEST + "    colour: red\n  - modell: openai/o3\nrouter:\n  timeout: soon\nmodel_aliases: {a: {target: b}}\n"
    )
    with pytest.raises(ConfigError) as error:
        loads(text, ENVIRON, file="c.yaml")
    assert [(problem.line, problem.path) for problem in error.value.problems] == [
        (5, "model_providers[0].colour"),
        (6, "model_providers[1].model"),
        (6, "model_providers[1].modell"),
        (8, "router.timeout"),
    ]


def _error(path: Path) -> str:
    with pytest.raises(ConfigError) as error:
        load(path, {})
    return str(error.value).replace(str(path.parent), "DIR")


def test_a_missing_file_names_the_ones_beside_it(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SMALLEST)
    assert _error(tmp_path / "confg.yaml") == "DIR/confg.yaml: there is no such file; is it DIR/config.yaml?"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"# nothing\n", "the file is empty", id="comments only"),
        pytest.param(b"a: 1\nb: \xff\n", "f.yaml:2: the file is not UTF-8 text", id="not UTF-8"),
        pytest.param(b"#" * (MAX_FILE_BYTES + 1), "the file is larger than 1 MiB", id="too large"),
        pytest.param(b"- a\n- b\n", "f.yaml:1: the file is not a mapping of sections", id="a list"),
        pytest.param(b"a: [1\n", "f.yaml:1: not readable as YAML: a list opened with [", id="not YAML"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(content)
    assert said in _error(tmp_path / "f.yaml")


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    assert _error(tmp_path).endswith("is a directory; name the file in it")


def test_a_path_through_a_file_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(SMALLEST)
    with pytest.raises(ConfigError, match="cannot be read: Not a directory; check its path and permissions"):
        load(tmp_path / "f.yaml/config.yaml", ENVIRON)


def test_a_missing_file_without_others_beside_it_says_where_it_was_looked_for(tmp_path: Path) -> None:
    assert _error(tmp_path / "none/config.yaml").startswith("DIR/config.yaml: there is no such file; check the path")


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbf" + SMALLEST.encode())
    assert load(tmp_path / "f.yaml", ENVIRON).warnings == ()
