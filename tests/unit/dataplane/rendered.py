"""What the unit tests of this package render, and ways to find one's way in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router_service.config.models import Config
from router_service.config.service import TcpAddress
from router_service.dataplane.deployment import Deployment

DEPLOYMENT = Deployment(directory="/etc/envoy", service=(TcpAddress("127.0.0.1", 9910),), ca_file="/etc/ca.pem")


def config_of(*entries: Mapping[str, object], **sections: object) -> Config:
    return Config.model_validate({"model_providers": list(entries), **sections})


def at(document: Any, *path: str | int) -> Any:
    """The value at a path of keys and positions of a JSON document."""
    for step in path:
        document = document[step]
    return document
