"""Tie this process to the one that started it: when the parent dies, however hard, so does the child.

In process: `die_with_parent(pid)`. For a command that knows nothing of it: `tether.py PID SIGNAL COMMAND…` run as a
script, which ties itself and becomes the command. That is done here, in a process of its own, and not between fork and
exec of the parent, where gRPC's threads would be copied half-way.

Linux only (PR_SET_PDEATHSIG, prctl(2)); elsewhere nothing is tied, and an orderly stop still ends every child. The
signal comes when the parent's *thread* ends that started the child: start children from the main thread.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Get signal `number` when the parent dies; at once if `parent_pid` is not the parent any more."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # noqa: PLC0415 20 ms that only a child pays

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), number)


def tethered(command: list[str], number: signal.Signals = signal.SIGTERM) -> list[str]:
    """The command line that runs `command` tied to this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(number)), *command]


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]), signal.Signals(int(sys.argv[2])))
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 the caller's own command, without a shell
