"""Where this machine keeps the certificate authorities that it trusts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from router_service.errors import SetupError

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch, Envoy's own images
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL, Amazon Linux
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS
)


def find_ca_file(bundles: Iterable[str] = BUNDLES) -> str:
    """The first bundle that exists. Raises SetupError, saying how to get one."""
    found = next((bundle for bundle in bundles if Path(bundle).is_file()), None)
    if found is None:
        raise SetupError(
            "There is no file of certificate authorities here to check providers against: install your system's "
            "ca-certificates, or name a PEM file with --ca-file."
        )
    return found
