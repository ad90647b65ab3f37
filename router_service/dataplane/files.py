"""Rendered files onto the disk, so that an Envoy that watches the directory never reads half of one.

Each file appears by a rename, which is also what Envoy waits for. Keys are on the disk before the listeners that need
them, and leave after. A file that would not change is left alone: Envoy has nothing to reload.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from router_service.errors import SetupError

SECRETS = "sds"

_ORDER = {SECRETS: 0, "cds.json": 1, "lds.json": 2, "bootstrap.json": 3}


@dataclass(frozen=True, slots=True)
class Written:
    """Names relative to the directory, in the order of writing."""

    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


def write(files: Mapping[str, str], directory: Path) -> Written:
    """Make `directory` hold `files`, and no other secrets than theirs. Raises SetupError where the disk refuses."""
    try:
        return _write(files, directory)
    except OSError as error:
        raise SetupError(f"Cannot write {error.filename or directory}: {error.strerror}.") from error


def _write(files: Mapping[str, str], directory: Path) -> Written:
    directory.mkdir(parents=True, exist_ok=True)
    secrets = directory / SECRETS
    secrets.mkdir(exist_ok=True)
    secrets.chmod(0o700)
    changed: list[str] = []
    unchanged: list[str] = []
    for name in sorted(files, key=lambda name: (_ORDER[name.split("/")[0]], name)):
        mode = 0o600 if name.startswith(f"{SECRETS}/") else 0o644
        is_new = _replace(directory / name, files[name].encode(), mode)
        (changed if is_new else unchanged).append(name)
    stale = sorted(path for path in secrets.iterdir() if f"{SECRETS}/{path.name}" not in files)
    for path in stale:
        path.unlink()
    return Written(tuple(changed), tuple(unchanged), tuple(f"{SECRETS}/{path.name}" for path in stale))


def _replace(path: Path, content: bytes, mode: int) -> bool:
    """Whether the file had to be written."""
    if path.is_file() and path.read_bytes() == content:
        path.chmod(mode)
        return False
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 from the start
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True
