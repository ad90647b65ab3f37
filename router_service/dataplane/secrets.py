"""Which credentials a configuration has, and the SDS messages that hand them to Envoy.

A credential is a header that Envoy sets on the way to one provider: the entry's key, and each of its own `headers`,
whose values may be keys as well. Values exist in these messages and nowhere else that is rendered.

Envoy spends an inotify instance on every secret that it watches, and ends where Linux has no more of them: 128 a user
unless raised. So a credential that many entries of a provider have is one secret.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import GenericSecret, Secret
from pydantic import SecretStr

from router_service.config.models import ModelProvider
from router_service.config.providers import Endpoint, provider_of
from router_service.config.providers import endpoint as endpoint_of


@dataclass(frozen=True, slots=True)
class Credential:
    """One header: `name` is the SDS resource that has its value, `header_prefix` stands before it (`Bearer `)."""

    name: str
    header: str
    header_prefix: str
    value: str

    def __repr__(self) -> str:
        return f"Credential({self.name!r}, {self.header!r})"

    @property
    def file(self) -> str:
        """Its SDS file, relative to the rendered directory."""
        return f"sds/{file_stem(self.name)}.json"


def credentials(entry: ModelProvider, endpoint: Endpoint, *, is_missing: bool) -> tuple[Credential, ...]:
    """What Envoy adds to this entry's requests, the key first.

    `is_missing` says that the entry names a variable that is not set. Its values are then empty, for which Envoy
    refuses the request itself (`provider_key_missing`); without the credential it would let it through.
    """
    found = []
    auth = provider_of(entry).auth if is_missing else endpoint.auth
    if auth.injects and (is_missing or entry.access_key is not None):
        found.append(Credential(f"key/{entry.key}", auth.header, auth.prefix, _text(entry.access_key)))
    for header, value in entry.headers.items():
        name = header.lower()
        found.append(Credential(f"header/{entry.key}/{name}", name, "", _text(value)))
    return tuple(replace(credential, value="") for credential in found) if is_missing else tuple(found)


def shared_credentials(entries: Iterable[ModelProvider], missing: Collection[str]) -> dict[str, tuple[Credential, ...]]:
    """Each entry's credentials, by its key. Those that are equal for a provider have the name of its first entry's.

    `missing` are the keys of entries that name an environment variable which is not set.
    """
    names: dict[tuple[str, ...], str] = {}

    def share(entry: ModelProvider, own: Credential) -> Credential:
        same = (entry.provider, own.header, own.header_prefix, own.value)
        return replace(own, name=names.setdefault(same, own.name))

    return {
        entry.key: tuple(
            share(entry, own) for own in credentials(entry, endpoint_of(entry), is_missing=entry.key in missing)
        )
        for entry in entries
    }


def _text(value: SecretStr | None) -> str:
    return value.get_secret_value() if value is not None else ""


def secret(credential: Credential) -> Secret:
    """The SDS resource; only its file may hold it."""
    return Secret(name=credential.name, generic_secret=GenericSecret(secret=DataSource(inline_string=credential.value)))


_PLAIN = re.compile(r"(key|header)(/[A-Za-z0-9.-]+)+")


def file_stem(name: str) -> str:
    """A file name for an SDS resource, of characters that a Kubernetes Secret's keys may have too.

    `key/openai/gpt-5` is `key_openai_gpt-5`. Where that could be another resource's name as well, a hash tells them
    apart.
    """
    stem = re.sub(r"[^A-Za-z0-9.-]", "_", name)
    if _PLAIN.fullmatch(name) and len(stem) <= 150:
        return stem
    return f"{stem[:150]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
