"""The measured constants, as `python -m benchmarks.capacity --write` left them."""

from __future__ import annotations

from importlib.resources import files

import msgspec

from router_service.capacity.model import Constants

FILE = "measured.json"


def load_constants() -> Constants:
    return msgspec.json.decode((files(__package__) / FILE).read_bytes(), type=Constants)
