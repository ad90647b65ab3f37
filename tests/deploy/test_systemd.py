"""The units, as far as systemd can tell without starting them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.deploy.overlays import ROOT, require

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
GET_SYSTEMD = "it comes with systemd (Debian: apt install systemd)"

# systemd's own scale: 10 is a service without any restriction.
MAX_EXPOSURE = "2.0"


def test_every_unit_is_understood(tmp_path: Path) -> None:
    command = require("systemd-analyze", GET_SYSTEMD)
    for unit in UNITS:  # with programs that exist on every machine, for it looks whether they do
        text = unit.read_text().replace("/opt/router-service/bin/router-service", "/bin/true")
        (tmp_path / unit.name).write_text(text.replace("/usr/local/bin/envoy", "/bin/true"))
    files = [str(tmp_path / unit.name) for unit in UNITS]
    found = subprocess.run([command, "verify", "--man=no", *files], capture_output=True, text=True, check=False)
    complaints = [line for line in found.stderr.splitlines() if str(tmp_path) in line or line.split(":")[0] in files]
    assert complaints == []
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_locked_down(unit: Path) -> None:
    command = require("systemd-analyze", GET_SYSTEMD)
    arguments = ["security", "--offline=true", f"--threshold={MAX_EXPOSURE.replace('.', '')}", str(unit)]
    found = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_keys_are_read_by_the_render_step_alone() -> None:
    assert [unit.stem for unit in UNITS if "EnvironmentFile=" in unit.read_text()] == ["router-service-render"]
