"""What has to be found on a machine: an Envoy, and the authorities it trusts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from router_service.dataplane.authorities import find_ca_file
from router_service.dataplane.binary import find_envoy
from router_service.errors import SetupError


def test_the_first_bundle_that_exists_is_taken(tmp_path: Path) -> None:
    (tmp_path / "second.pem").write_text("")
    bundles = [str(tmp_path / name) for name in ("first.pem", "second.pem", "third.pem")]
    assert find_ca_file(bundles) == bundles[1]


def test_without_a_bundle_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="--ca-file"):
        find_ca_file([str(tmp_path / "none.pem")])


def test_the_tested_envoy_is_found_beside_the_package() -> None:
    assert os.access(find_envoy(), os.X_OK)
