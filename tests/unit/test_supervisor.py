"""The supervisor's rules: how long to wait, what to say, when a socket's path is free."""

import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.errors import SetupError
from router_service.supervisor import FIRST_PAUSE_S, LONGEST_PAUSE_S, claim_socket, describe_exit, restart_pause_s


@given(deaths=st.integers(min_value=1, max_value=10_000))
def test_pauses_grow_and_stay_within_their_bounds(deaths: int) -> None:
    # Invariant: never shorter than the one before, never outside of the bounds.
    assert FIRST_PAUSE_S <= restart_pause_s(deaths) <= restart_pause_s(deaths + 1) <= LONGEST_PAUSE_S


def test_the_first_restart_is_immediate_and_the_tenth_is_not() -> None:
    assert restart_pause_s(1) == FIRST_PAUSE_S
    assert restart_pause_s(10) == LONGEST_PAUSE_S


@pytest.mark.parametrize(
    ("status", "text"),
    [
        pytest.param(1, "exit status 1", id="a status"),
        pytest.param(-9, "SIGKILL", id="a signal"),
        pytest.param(-63, "signal 63", id="a signal without a name"),
        pytest.param(
            OSError(12, "Cannot allocate memory"), "could not be started: Cannot allocate memory", id="no start"
        ),
    ],
)
def test_an_end_is_described(status: int | OSError, text: str) -> None:
    assert describe_exit(status) == text


@pytest.fixture
def directory() -> Iterator[Path]:
    with TemporaryDirectory(prefix="rs-") as name:  # pytest's own directories are too long for a socket's path
        yield Path(name)


def test_a_socket_that_nobody_listens_on_is_removed(directory: Path) -> None:
    path = directory / "router.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    claim_socket(path)

    assert not path.exists()


def test_the_directory_of_a_socket_is_made(directory: Path) -> None:
    claim_socket(directory / "a" / "b" / "router.sock")

    assert (directory / "a" / "b").is_dir()


def test_a_socket_that_somebody_listens_on_is_left_alone(directory: Path) -> None:
    path = directory / "router.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(SetupError) as refused:
            claim_socket(path)

    assert path.exists()
    assert str(refused.value) == (
        f"Cannot listen on unix:{path}: another process does; stop it, or choose another service.listen."
    )


def test_a_file_where_the_socket_should_be_is_left_alone(directory: Path) -> None:
    path = directory / "router.sock"
    path.write_text("precious")
    with pytest.raises(SetupError, match="a file that is no socket is there"):
        claim_socket(path)

    assert path.read_text() == "precious"


def test_a_directory_that_cannot_be_made_is_named(directory: Path) -> None:
    (directory / "file").write_text("")
    with pytest.raises(SetupError, match=r"Cannot listen on unix:.*/file/router\.sock"):
        claim_socket(directory / "file" / "router.sock")
