"""Lines to a file descriptor from a thread of its own, so that a slow reader of the log never stops the event loop.

Owns the queue and its bound. When whoever reads the log falls behind by `max_lines`, new lines are dropped and counted:
routing requests matters more than telling about it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable

# About 3 MB of decisions; a reader that far behind does not catch up.
MAX_LINES = 10_000

# Lines that arrive together are written together: at most a hundred wake-ups a second. Each takes the interpreter's
# lock away from the event loop for a moment; woken by every line, this thread makes a line twenty times as dear.
GATHER_S = 0.01


class LineWriter:
    """Writes lines in order. `write` never blocks and may be called from any thread; `close` flushes."""

    def __init__(self, fd: int, *, dropped: Callable[[int], None] = lambda _: None, max_lines: int = MAX_LINES) -> None:
        self._fd = fd
        self._dropped = dropped
        self._max_lines = max_lines
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue one line, which ends in a newline."""
        if self._broken or len(self._lines) >= self._max_lines:
            self._dropped(1)
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued and end the thread; a reader that has stopped is given up on after `timeout_s`."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            if not self._closing.is_set():
                time.sleep(GATHER_S)
            self._wake.clear()  # before the queue is emptied: a line that comes in between wakes us again
            self._drain()
        self._drain()

    def _drain(self) -> None:
        while self._lines:
            gathered = [self._lines.popleft() for _ in range(len(self._lines))]
            try:
                _write_all(self._fd, b"".join(gathered))
            except OSError:  # the reader is gone; there is nobody to tell
                self._broken = True
                self._dropped(len(gathered))


def _write_all(fd: int, content: bytes) -> None:
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(fd, remaining) :]
