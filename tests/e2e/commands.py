"""The installed command as a process that never outlives its test."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

COMMAND = Path(sys.executable).with_name("router-service")
ROOT = Path(__file__).parents[2]


@contextmanager
def running(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """`router-service ARGUMENTS` with its output in pipes; what is left of it at the end is killed.

    `env` is the whole environment beside PATH and HOME, so that a developer's provider keys never get into a test.
    """
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with TemporaryDirectory(
        prefix="rs-", ignore_cleanup_errors=True
    ) as temporary:  # where a process that is killed may leave what it likes
        process = subprocess.Popen(
            [str(COMMAND), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"TMPDIR": temporary, **inherited, **(env or {})},
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()
