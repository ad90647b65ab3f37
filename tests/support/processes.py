"""Child processes that end with the test process, whatever ends it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

# Runs between the fork and the command: prctl(PR_SET_PDEATHSIG, SIGKILL). A preexec_fn would do the same inside this
# process' copy, where gRPC's fork handlers break its event loop.
_DIE_WITH_PARENT = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execvp(sys.argv[1], sys.argv[1:])"


class Lines:
    """The lines of a stream as they come, and a way to wait for one."""

    def __init__(self, stream: IO[str], name: str) -> None:
        self.seen: list[str] = []
        self._name = name
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    self.seen.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, wanted: Callable[[str], bool], *, after: int = 0, timeout_s: float = 20.0) -> str:
        """The first line that is `wanted`, `after` so many lines. AssertionError with all output if none comes."""
        position = after

        def found() -> bool:
            nonlocal position
            while position < len(self.seen) and not wanted(self.seen[position]):
                position += 1
            return self._ended or position < len(self.seen)

        with self._changed:
            self._changed.wait_for(found, timeout_s)
            if position < len(self.seen):
                return self.seen[position]
        why = "ended without" if self._ended else "did not print"
        raise AssertionError(f"{self._name} {why} the line; its last:\n{''.join(self.seen[-30:])}")

    def wait_for_end(self) -> None:
        """Until the command has closed the stream."""
        self._reader.join(timeout=10)


class Child:
    """A running command with both of its outputs as `Lines`. Start it from the main thread: it dies with that."""

    def __init__(self, arguments: Sequence[str | Path], *, env: dict[str, str] | None = None) -> None:
        name = Path(arguments[0]).name
        self.process = subprocess.Popen(
            [sys.executable, "-ISc", _DIE_WITH_PARENT, *(str(argument) for argument in arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.stdout = Lines(self.process.stdout, f"{name} stdout")
        self.stderr = Lines(self.process.stderr, f"{name} stderr")

    def stop(self) -> int:
        """SIGTERM, then SIGKILL; its exit status."""
        self.process.terminate()
        try:
            status = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.stdout.wait_for_end()
        self.stderr.wait_for_end()
        return status
