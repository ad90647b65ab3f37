"""How many files Envoy can watch on this machine: it spends an inotify instance on each, and ends where none is left.

https://man7.org/linux/man-pages/man7/inotify.7.html
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")  # of one user, all their processes together

_READ_ONCE = "bootstrap.json"


def shortage(files: Iterable[str], limit: Path = LIMIT) -> str | None:
    """What to do before an Envoy starts on these rendered files here; None where Linux allows enough."""
    watched = sum(name != _READ_ONCE for name in files)
    try:
        allowed = int(limit.read_text())
    except (OSError, ValueError):  # not Linux
        return None
    if watched <= allowed:
        return None
    return (
        f"Envoy watches {watched} of these files, and ends where it cannot: this machine lets a user watch {allowed}. "
        f"Raise it: sysctl -w fs.inotify.max_user_instances={2 * watched}"
    )
