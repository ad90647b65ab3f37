from __future__ import annotations

import pytest

from router_service.classify.encoder import Encoder, load_encoder


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The built-in model, loaded once."""
    return load_encoder()
