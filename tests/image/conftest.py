"""These tests run in a network of their own, with the image that `make test-image` has built before."""

from tests.sidecar.conftest import pytest_collection_modifyitems  # noqa: F401 - a hook of pytest
