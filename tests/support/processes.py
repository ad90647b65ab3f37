"""Child processes that end with the test process, whatever ends it."""

from __future__ import annotations

import ctypes
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1  # prctl(2)
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Lines:
    """The lines of a stream as they come, and a way to wait for one."""

    def __init__(self, stream: IO[str], name: str) -> None:
        self.seen: list[str] = []
        self._name = name
        self._unread: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.seen.append(line)
            self._unread.put(line)
        self._unread.put(None)

    def wait_for(self, wanted: Callable[[str], bool], timeout_s: float = 20.0) -> str:
        """The next line not yet waited for that is `wanted`. AssertionError with all output if none comes."""
        while True:
            try:
                line = self._unread.get(timeout=timeout_s)
            except queue.Empty:
                raise AssertionError(f"{self._name}: the line did not come; {self.text}") from None
            if line is None:
                raise AssertionError(f"{self._name}: ended without the line; {self.text}")
            if wanted(line):
                return line

    @property
    def text(self) -> str:
        return "".join(self.seen)


class Child:
    """A running command with both of its outputs as `Lines`. Start it from the main thread: it dies with that."""

    def __init__(self, arguments: Sequence[str | Path], *, env: dict[str, str] | None = None) -> None:
        name = Path(arguments[0]).name
        self.process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl, no locks taken
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdout = Lines(self.process.stdout, f"{name} stdout")
        self.stderr = Lines(self.process.stderr, f"{name} stderr")

    def stop(self) -> int:
        """SIGTERM, then SIGKILL; its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
