"""Becomes one container and then its command: run as root with a JSON of `Container` as the only argument.

What a container runtime does, as far as a manifest says it: a root file system of its own (an overlay over the image's,
so that nothing written reaches the machine), the volumes at their paths, read-only where the manifest says so, the
user, no capability, no way to gain any, and no environment but what it was given.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

PR_SET_NO_NEW_PRIVS = 38
PR_SET_PDEATHSIG = 1
CLONE_NEWNS = 0x00020000
SIGKILL = 9


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def main() -> None:
    spec = json.loads(sys.argv[1])
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)
    libc.unshare(CLONE_NEWNS)
    mount("--make-rprivate", "/")
    scratch = Path(spec["scratch"])
    mount("-t", "tmpfs", "tmpfs", scratch)
    upper, work, root = scratch / "upper", scratch / "work", scratch / "root"
    for directory in (upper, work, root):
        directory.mkdir()
    mount("-t", "overlay", "overlay", "-o", f"lowerdir={spec['root']},upperdir={upper},workdir={work}", root)
    for device in ("dev", "proc"):
        (root / device).mkdir(exist_ok=True)
        mount("--rbind", f"/{device}", root / device)
    for path in spec["paths"]:  # which may lie in somebody's home
        for parent in Path(path).parents:
            inside = root / parent.relative_to("/")
            inside.chmod(inside.stat().st_mode | 0o111)
    (root / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n" + spec["hosts"])
    for volume in spec["volumes"]:
        target = root / volume["target"].lstrip("/")
        if Path(volume["source"]).is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        mount("--bind", volume["source"], target)
        if volume["read_only"]:
            mount("-o", "remount,bind,ro", target)
    for path in spec["paths"]:  # a volume over /tmp would hide what stands in for the image, if that lies there
        if any(Path(path).is_relative_to(volume["target"]) for volume in spec["volumes"]):
            inside = root / path.lstrip("/")
            inside.mkdir(parents=True, exist_ok=True)
            mount("--rbind", path, inside)
    if spec["read_only_root"]:
        mount("-o", "remount,ro", root)
    os.chroot(root)
    os.chdir("/")
    os.setgroups([spec["gid"]])
    os.setgid(spec["gid"])
    os.setuid(spec["uid"])
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)  # setuid has cleared it
    os.execvpe(spec["command"][0], spec["command"], spec["env"])  # noqa: S606 - this is what it is for


main()
