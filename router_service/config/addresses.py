"""What must hold for addresses: of providers, the classifier's server, listeners and the service's own ports.

Owns the checks; where a provider's requests go is `providers`. Nothing is resolved or connected to.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from router_service.config.models import Config, ModelProvider
from router_service.config.providers import KNOWN, is_ip, parse_base_url, provider_of
from router_service.config.report import Location, Report
from router_service.config.service import Address, TcpAddress, parse_address, service_addresses
from router_service.routing.catalog import WILDCARD

ENVOY_ADMIN = ("127.0.0.1", 9901)

# Providers of Plano whose own API is not the OpenAI API.
_OTHER_APIS: Mapping[str, str] = MappingProxyType(
    {
        "amazon_bedrock": "set base_url to its OpenAI-compatible API: https://bedrock-runtime.REGION.amazonaws.com/openai/v1",
        "chatgpt": "a ChatGPT subscription has no API; use openai/… with a key, or remove the entry",
    }
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110, token
# Envoy and the HTTP client own these; a second one would break the request or choose its route.
_RESERVED_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "content-type", "content-encoding"}
)


def check(config: Config, report: Report) -> None:
    """Reports everything wrong with addresses, credentials' headers and ports."""
    for index, entry in enumerate(config.model_providers):
        for rule in _ENTRY_RULES:
            rule(entry, ("model_providers", index), report)
    _check_router_url(config, report)
    _check_listeners(config, report)
    _check_ports(config, report)


def _check_base_url(entry: ModelProvider, location: Location, report: Report) -> None:
    where = (*location, "base_url")
    if entry.base_url is None:
        if not entry.model_id:
            return  # no provider is named, which is reported
        if entry.provider in _OTHER_APIS:
            report.error(where, f"is missing for {entry.provider}", _OTHER_APIS[entry.provider])
        elif provider_of(entry).host is None:
            report.error(where, f"is missing: {_no_address(entry)}", _near_provider(entry))
        return
    try:
        base = parse_base_url(entry.base_url)
    except ValueError as error:
        report.error(where, str(error), "write it like https://host:port, with a path if the API has another prefix")
        return
    if entry.provider == "amazon_bedrock" and not base.path:
        report.warn(where, "leads to an API that is not OpenAI's", _OTHER_APIS[entry.provider])
    if entry.provider == "azure_openai" and base.path.endswith("/deployments"):
        report.error(where, "ends before the deployment's name", "write …/deployments/{id}, or no path at all")


def _no_address(entry: ModelProvider) -> str:
    if entry.provider in KNOWN:
        return f"{entry.provider} has no address of its own"
    return f"{entry.provider} is not a known provider"


def _near_provider(entry: ModelProvider) -> str:
    near = difflib.get_close_matches(entry.provider, KNOWN, n=1) if entry.provider not in KNOWN else []
    return (
        f"did you mean {near[0]}/{entry.model_id}? Otherwise add base_url"
        if near
        else "add base_url, like http://host:8000"
    )


def _check_wildcard_in_path(entry: ModelProvider, location: Location, report: Report) -> None:
    path = provider_of(entry).prefix if entry.base_url is None else _path_of(entry)
    if entry.model_id == WILDCARD and "{id}" in path:
        report.error(
            (*location, "model"),
            f"is a wildcard, but {entry.provider} takes the model in the path",
            "write one entry a model",
        )


def _path_of(entry: ModelProvider) -> str:
    try:
        return parse_base_url(entry.base_url or "").path or provider_of(entry).prefix
    except ValueError:
        return ""


def _check_interface(entry: ModelProvider, location: Location, report: Report) -> None:
    interface = entry.provider_interface
    where = (*location, "provider_interface")
    if interface is None:
        return
    if interface not in KNOWN:
        near = difflib.get_close_matches(interface, KNOWN, n=1)
        report.error(
            where, f'"{interface[:60]}" is not a known provider', f"did you mean {near[0]}?" if near else "write openai"
        )
    elif entry.provider in KNOWN and interface != entry.provider:
        report.warn(where, f"is not used: {entry.provider} is a known provider with an API of its own", "remove it")


def _check_http_host(entry: ModelProvider, location: Location, report: Report) -> None:
    if entry.http_host is None:
        return
    try:
        authority = parse_base_url(f"https://{entry.http_host}")
    except ValueError:
        authority = None
    if authority is None or authority.path or authority.query:
        report.error(
            (*location, "http_host"), "is not a host name", "write a name, or name:port, without http:// and path"
        )


def _check_credentials(entry: ModelProvider, location: Location, report: Report) -> None:
    known = provider_of(entry)
    if entry.passthrough_auth and entry.access_key is not None:
        report.warn(
            (*location, "access_key"),
            "is not used: passthrough_auth sends the client's own credential",
            "remove one of the two",
        )
    elif entry.access_key is None and not entry.passthrough_auth and entry.base_url is None and known.host is not None:
        report.warn(
            location,
            f"has no access_key: {entry.provider} gets its requests without a credential",
            f"add access_key: ${known.key_variable}",
        )


def _check_headers(entry: ModelProvider, location: Location, report: Report) -> None:
    for name in entry.headers:
        where = (*location, "headers", name)
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(name):
            report.error(where, "is not a header name", "use letters, digits and -")
        elif lower in _RESERVED_HEADERS or lower.startswith(("x-envoy-", "x-router-")):
            report.error(where, "is a header that Envoy or this service sets itself", "remove it")
        elif lower == provider_of(entry).auth.header and entry.access_key is not None:
            report.error(where, "is also what access_key becomes", "keep one of the two")


_ENTRY_RULES: tuple[Callable[[ModelProvider, Location, Report], None], ...] = (
    _check_base_url,
    _check_wildcard_in_path,
    _check_interface,
    _check_http_host,
    _check_credentials,
    _check_headers,
)


def _check_router_url(config: Config, report: Report) -> None:
    urls = config.router.url
    for place, url in enumerate(urls):
        location: Location = ("router", "url") if len(urls) == 1 else ("router", "url", place)
        try:
            parse_base_url(url)
        except ValueError as error:
            report.error(location, str(error), "write it like http://arch-router:8000")


@dataclass(frozen=True, slots=True)
class _Taken:
    """A port that something listens on."""

    host: str
    port: int
    owner: str
    location: Location

    def clashes(self, other: _Taken) -> bool:
        same_host = self.host == other.host or _is_any(self.host) or _is_any(other.host)
        return same_host and self.port == other.port and self.owner != other.owner


def _check_ports(config: Config, report: Report) -> None:
    taken = [_Taken(*ENVOY_ADMIN, "Envoy's admin", ())]
    taken += _ports_of(lambda: service_addresses(config.service), ("service", "listen"), report)
    taken += _ports_of(lambda: (parse_address(config.service.admin),), ("service", "admin"), report)
    for index, listener in enumerate(config.listeners):
        owner = f"listener {listener.name}"
        taken.append(_Taken(listener.address, listener.port, owner, ("listeners", index, "port")))
    for position, one in enumerate(taken):
        other = next((earlier for earlier in taken[:position] if earlier.clashes(one)), None)
        if other is not None:
            report.error(one.location, f"is port {one.port}, which {other.owner} takes", "choose another port")


def _ports_of(addresses: Callable[[], tuple[Address, ...]], location: Location, report: Report) -> list[_Taken]:
    try:
        parsed = addresses()
    except ValueError as error:
        what, _, todo = str(error).partition("; ")
        report.error(location, f"is not usable: {what}", todo)
        return []
    owner = ".".join(str(step) for step in location)
    return [
        _Taken("127.0.0.1" if address.host == "localhost" else address.host, address.port, owner, location)
        for address in parsed
        if isinstance(address, TcpAddress)
    ]


def _check_listeners(config: Config, report: Report) -> None:
    names: dict[str, int] = {}
    for index, listener in enumerate(config.listeners):
        if listener.name in names:
            line = report.line(("listeners", names[listener.name]))
            report.error(
                ("listeners", index, "name"),
                f'is "{listener.name[:60]}", like the listener in line {line}',
                "choose another name",
            )
        names.setdefault(listener.name, index)
        if not is_ip(listener.address):
            report.error(
                ("listeners", index, "address"),
                "is not an IP address, which Envoy needs to listen on",
                "write 0.0.0.0 for every interface, 127.0.0.1 for this machine, or :: for IPv6",
            )


def _is_any(host: str) -> bool:
    return is_ip(host) and ipaddress.ip_address(host).is_unspecified
