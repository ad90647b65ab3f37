"""Lines arrive whole and in order, and a reader that stops reading stops nothing else."""

import os
from collections.abc import Iterator
from contextlib import closing
from threading import Thread

import pytest

from router_service.telemetry.line_writer import LineWriter

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            continue  # the test closed it


def read_all(fd: int) -> bytes:
    with os.fdopen(os.dup(fd), "rb") as file:
        return file.read()


def test_lines_arrive_in_the_order_of_their_writing(pipe: Pipe) -> None:
    reader, writer = pipe
    lines = [b"line %d\n" % number for number in range(1000)]
    with closing(LineWriter(writer)) as out:
        for line in lines:
            out.write(line)
    os.close(writer)

    assert read_all(reader) == b"".join(lines)


def test_more_than_a_pipe_holds_arrives_whole(pipe: Pipe) -> None:
    reader, writer = pipe
    line = b"x" * 99_999 + b"\n"
    read: list[bytes] = []
    reading = Thread(target=lambda: read.append(read_all(reader)))
    reading.start()
    with closing(LineWriter(writer)) as out:
        for _ in range(5):
            out.write(line)
    os.close(writer)
    reading.join(timeout=10)

    assert read == [line * 5]


def test_a_reader_that_falls_behind_costs_lines_and_not_time(pipe: Pipe) -> None:
    reader, writer = pipe
    dropped: list[int] = []
    out = LineWriter(writer, dropped=dropped.append, max_lines=10)
    line = b"x" * 99_999 + b"\n"  # more than the pipe holds, so that the thread waits in its first write

    for _ in range(1000):
        out.write(line)

    assert len(dropped) > 900
    reading = Thread(target=lambda: read_all(reader))
    reading.start()
    out.close()
    os.close(writer)
    reading.join(timeout=10)
    assert not reading.is_alive()


def test_a_reader_that_has_gone_is_not_an_error(pipe: Pipe) -> None:
    reader, writer = pipe
    dropped: list[int] = []
    os.close(reader)
    out = LineWriter(writer, dropped=dropped.append)
    out.write(b"to nobody\n")
    out.close()

    assert sum(dropped) == 1
