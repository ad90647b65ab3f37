"""These tests run in a network of their own, which `make test-sidecar` makes."""

from __future__ import annotations

import os

import pytest

PRIVATE_NETWORK = "ROUTER_SERVICE_PRIVATE_NETWORK"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if PRIVATE_NETWORK not in os.environ:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root and a network namespace; run `make test-sidecar`"))
