"""Every configuration file that is shipped with a deployment loads, and has nothing to warn about but missing keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from router_service.config.load import load
from tests.deploy.overlays import ROOT

FILES = sorted((ROOT / "deploy").rglob("config*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT / "deploy")))
def test_it_loads_without_a_warning(file: Path) -> None:
    loaded = load(file, {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"})
    assert loaded.warnings == ()
    assert loaded.missing == {}


def test_there_is_one_for_each_way_of_deploying() -> None:
    assert {file.parent.name for file in FILES} == {"compose", "standalone", "envoy-gateway", "istio"}
