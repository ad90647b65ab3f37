"""Known providers as one frozen table, and the endpoint that an entry of `model_providers` means.

Owns hosts, API prefixes and how a key is presented. It never opens a connection and never reads a key's value; Envoy's
clusters, routes and secrets are rendered from `endpoint`, and docs/configuration.md prints the table.

An OpenAI client sends `/v1/chat/completions`; the provider gets `<prefix>/chat/completions?<query>`. So an API belongs
in a row only if the provider has it below that same prefix.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

from router_service.config.models import ModelProvider
from router_service.routing.api import OPENAI_COMPATIBLE, Api

Scheme = Literal["http", "https"]


class Auth(Enum):
    """How the provider's key is presented: the header, and what stands before the key in it."""

    BEARER = ("authorization", "Bearer ")
    API_KEY = ("api-key", "")  # Azure OpenAI
    X_API_KEY = ("x-api-key", "")  # Anthropic Messages
    NONE = ("", "")  # no credential leaves: ours is not configured, the client's is removed
    PASSTHROUGH = ("", " ")  # the client's own credential is left in place

    @property
    def header(self) -> str:
        return self.value[0]

    @property
    def prefix(self) -> str:
        return self.value[1]

    @property
    def injects(self) -> bool:
        """Whether Envoy adds the entry's key."""
        return bool(self.header)


@dataclass(frozen=True, slots=True)
class Provider:
    """One row of the table.

    `host` is None where every customer has their own (`base_url` is required). `prefix` may hold `{id}`, the model id.
    `more_apis` are those that it takes beside the OpenAI-compatible ones. `messages_auth` is how it wants the key on
    `/v1/messages`, None if as everywhere else.
    """

    name: str
    host: str | None
    prefix: str = "/v1"
    auth: Auth = Auth.BEARER
    key_variable: str | None = None
    query: str = ""
    more_apis: frozenset[Api] = frozenset()
    messages_auth: Auth | None = None


_RESPONSES = frozenset({Api.RESPONSES})
_MESSAGES = frozenset({Api.MESSAGES})
_BOTH = _RESPONSES | _MESSAGES

_ROWS = (
    Provider("openai", "api.openai.com", key_variable="OPENAI_API_KEY", more_apis=_RESPONSES),
    Provider(
        "anthropic",
        "api.anthropic.com",
        key_variable="ANTHROPIC_API_KEY",
        more_apis=_MESSAGES,
        messages_auth=Auth.X_API_KEY,  # its OpenAI-compatible endpoint wants a Bearer token
    ),
    Provider("gemini", "generativelanguage.googleapis.com", "/v1beta/openai", key_variable="GEMINI_API_KEY"),
    Provider("google", "generativelanguage.googleapis.com", "/v1beta/openai", key_variable="GOOGLE_API_KEY"),
    Provider("groq", "api.groq.com", "/openai/v1", key_variable="GROQ_API_KEY", more_apis=_RESPONSES),
    Provider("mistral", "api.mistral.ai", key_variable="MISTRAL_API_KEY"),
    Provider("deepseek", "api.deepseek.com", key_variable="DEEPSEEK_API_KEY"),
    Provider("xai", "api.x.ai", key_variable="XAI_API_KEY", more_apis=_RESPONSES),
    Provider("moonshotai", "api.moonshot.ai", key_variable="MOONSHOT_API_KEY", more_apis=_RESPONSES),
    Provider("together_ai", "api.together.xyz", key_variable="TOGETHER_API_KEY"),
    Provider("openrouter", "openrouter.ai", "/api/v1", key_variable="OPENROUTER_API_KEY", more_apis=_BOTH),
    Provider("zhipu", "open.bigmodel.cn", "/api/paas/v4", key_variable="ZHIPU_API_KEY"),
    Provider("digitalocean", "inference.do-ai.run", key_variable="DIGITALOCEAN_API_KEY", more_apis=_BOTH),
    Provider("vercel", "ai-gateway.vercel.sh", key_variable="AI_GATEWAY_API_KEY", more_apis=_BOTH),
    Provider(
        "azure_openai",
        None,
        "/openai/deployments/{id}",
        Auth.API_KEY,
        key_variable="AZURE_OPENAI_API_KEY",
        query="api-version=2025-01-01-preview",  # belongs to this prefix; a base_url with a path brings its own
    ),
    Provider("qwen", None, key_variable="DASHSCOPE_API_KEY"),
    Provider("ollama", None, more_apis=_BOTH),
    Provider("vllm", None, more_apis=_BOTH),
)
KNOWN: Mapping[str, Provider] = MappingProxyType({row.name: row for row in _ROWS})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one entry's requests go.

    `host` is a DNS name or an IP address (IPv6 without brackets) and `scheme`, `host`, `port` together name one
    upstream. `path_prefix` replaces `/v1` and has no trailing slash; it holds the model id where the provider wants it
    in the path. `query` goes behind the path, without `?`. `authority` is the Host header; `tls_name` is what the
    server's certificate must name. `messages_auth` is `auth`, except where the provider wants its key otherwise on
    `/v1/messages`.
    """

    scheme: Scheme
    host: str
    port: int
    path_prefix: str
    query: str
    authority: str
    tls_name: str
    auth: Auth
    messages_auth: Auth

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def sni(self) -> str:
        """The name sent in the TLS handshake; empty for an IP address, which is never sent (RFC 6066, section 3)."""
        return "" if is_ip(self.tls_name) else self.tls_name

    @property
    def upstream(self) -> str:
        """The Envoy cluster that all entries of this address share."""
        return f"provider/{self.scheme}/{_bracketed(self.host)}:{self.port}"


def provider_of(entry: ModelProvider) -> Provider:
    """The row that tells how to speak to `entry`; the OpenAI API at `base_url` for a provider without a row."""
    known = KNOWN.get(entry.provider)
    if known is not None:
        return known
    interface = KNOWN.get(entry.provider_interface or "")
    if interface is None:
        return Provider(entry.provider, None)
    return replace(interface, name=entry.provider, host=None, key_variable=None)


def endpoint(entry: ModelProvider) -> Endpoint:
    """The address of a checked entry. Raises ValueError, in words for the user, where it has none."""
    provider = provider_of(entry)
    if entry.base_url is not None:
        base = parse_base_url(entry.base_url)
    elif provider.host is not None:
        base = BaseUrl("https", provider.host, 443, "", "")
    else:
        raise ValueError(f"no known address for provider {entry.provider}")
    default_port = 443 if base.scheme == "https" else 80
    authority = _bracketed(base.host) if base.port == default_port else f"{_bracketed(base.host)}:{base.port}"
    return Endpoint(
        scheme=base.scheme,
        host=base.host,
        port=base.port,
        path_prefix=(base.path or provider.prefix).replace("{id}", entry.model_id),
        query=base.query or ("" if base.path else provider.query),
        authority=entry.http_host or authority,
        tls_name=(_host_of(entry.http_host) if entry.http_host else base.host).rstrip("."),
        auth=_auth(entry, provider.auth),
        messages_auth=_auth(entry, provider.messages_auth or provider.auth),
    )


def _auth(entry: ModelProvider, wanted: Auth) -> Auth:
    if entry.passthrough_auth:
        return Auth.PASSTHROUGH
    return wanted if entry.access_key is not None else Auth.NONE


def apis(entry: ModelProvider) -> frozenset[Api]:
    """Those that an entry takes requests in: what it says itself, else what its provider is known for."""
    if entry.apis is not None:
        return frozenset(entry.apis)
    return OPENAI_COMPATIBLE | provider_of(entry).more_apis


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """A `base_url` in its parts. `path` has no trailing slash and is empty where the URL has none."""

    scheme: Scheme
    host: str
    port: int
    path: str
    query: str


# Letters, digits and hyphens between dots (RFC 1123), underscores as container networks use them.
_HOST_NAME = re.compile(r"(?=.{1,253}\.?$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%{}-]+)*")
_QUERY = re.compile(r"[A-Za-z0-9._~!$'()*+,;=:@%/?&-]*")


def parse_base_url(text: str) -> BaseUrl:
    """The parts of `http[s]://host[:port][/path][?query]`; ValueError says what is wrong with it."""
    try:
        parts = urlsplit(text)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise ValueError("is not an address like https://host:port/path") from error
    if parts.scheme not in ("http", "https"):
        raise ValueError("does not start with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("holds a user name or password, which belong in access_key or headers")
    if not is_host(host) or (parts.netloc.startswith("[") and ":" not in host):
        raise ValueError("has no valid host name")
    if port == 0:
        raise ValueError("has port 0")
    if parts.fragment or "#" in text:
        raise ValueError("has a fragment (#…), which no server ever sees")
    path = parts.path.rstrip("/")
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(parts.query):
        raise ValueError("has a character in its path or query that must be percent-encoded")
    scheme: Scheme = "https" if parts.scheme == "https" else "http"
    return BaseUrl(scheme, host, port or (443 if scheme == "https" else 80), path, parts.query)


def is_host(text: str) -> bool:
    """A DNS name, an IPv4 address, or an IPv6 address without brackets."""
    if ":" in text or re.fullmatch(r"[\d.]+", text):
        return is_ip(text)
    return _HOST_NAME.fullmatch(text) is not None


def is_ip(text: str) -> bool:
    """An IPv4 address, or an IPv6 address without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _host_of(authority: str) -> str:
    return urlsplit(f"//{authority}").hostname or authority
