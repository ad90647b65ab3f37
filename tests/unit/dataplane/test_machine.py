"""What has to be found on a machine: an Envoy, the authorities it trusts, and leave to watch files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from router_service.dataplane.authorities import find_ca_file
from router_service.dataplane.binary import find_envoy
from router_service.dataplane.inotify import shortage
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


@pytest.mark.parametrize(
    ("limit", "found"),
    [
        pytest.param("4\n", False, id="enough"),
        pytest.param("3\n", True, id="one too few"),
        pytest.param("", False, id="unreadable"),
    ],
)
def test_files_that_envoy_could_not_watch_are_told_with_the_way_out(tmp_path: Path, limit: str, found: bool) -> None:
    (tmp_path / "limit").write_text(limit)
    files = ["bootstrap.json", "cds.json", "lds.json", "sds/key_a.json", "sds/key_b.json"]
    told = shortage(files, tmp_path / "limit")
    assert (told is not None) is found
    assert told is None or told == (
        "Envoy watches 4 of these files, and ends where it cannot: this machine lets a user watch 3. "
        "Raise it: sysctl -w fs.inotify.max_user_instances=8"
    )
