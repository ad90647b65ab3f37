"""A configuration as resources for Envoy Gateway, for people who have that already. Same input, same text.

Specifications: Gateway API v1 (gateway-api.sigs.k8s.io/reference/spec) and Envoy Gateway's extension types
(gateway.envoyproxy.io/docs/api/extension_types). Owns the mapping; never talks to a cluster, never holds a key.

    the listener             Gateway, ClientTrafficPolicy (what it strips and bounds)
    ext_proc                 EnvoyExtensionPolicy on the Gateway
    a provider's address     Backend, BackendTLSPolicy
    a model                  HTTPRoute: the router's answer in a header → path, host, credential, Backend
    before the answer        HTTPRoute `undecided`: every request's first match, a 503 of its own for what stays there
    keys                     EnvoyProxy: variables of the proxy from a Secret, set by `%ENVIRONMENT(NAME)%`

The filters of a request are settled by the route that matches first, `undecided`. So a credential cannot be a filter of
the model's route; it is a header of it, which Envoy sets when it forwards. And a retry goes where its route goes:
another model of the pool, with another key and another name in the body, is out of reach. What stands in for the pool
is a fallback Backend, where the next member is the same model behind the same credential.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from router_service.config.models import Config, Listener, ModelProvider
from router_service.config.providers import Auth, Endpoint, endpoint, is_ip
from router_service.dataplane.headers import (
    CLIENT_CREDENTIALS,
    CLIENT_MAY_NOT_SEND,
    DECISION_HEADERS,
    INTERNAL_HEADERS,
    SERVED_BY_HEADER,
)
from router_service.dataplane.pools import pools
from router_service.extproc.wire import METADATA_NAMESPACE, UPSTREAM_HEADER
from router_service.routing.api import Api
from router_service.routing.catalog import WILDCARD

Value = str | int | bool | Sequence["Value"] | Mapping[str, "Value"]
Resource = Mapping[str, Value]

GATEWAY_API = "gateway.networking.k8s.io"
ENVOY_GATEWAY = "gateway.envoyproxy.io"
SECRET = "provider-keys"  # noqa: S105 - the Secret's name

# As `filters.SERVICE_MARGIN_S`; that module imports Envoy's messages, which take most of a second.
_SERVICE_MARGIN_S = 2.0

# `$NAME` in the configuration becomes this, and then the operator that Envoy replaces by the variable's value.
_MARK = re.compile(r"<<([A-Za-z_][A-Za-z0-9_]*)>>")


class References(Mapping[str, str]):
    """An environment to load a configuration with: every variable is set, to a mark of its own name. No key is read."""

    def __getitem__(self, name: str) -> str:
        return f"<<{name}>>"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Rendered:
    """`lost` says, a line each, what of the configuration has no counterpart and is left out."""

    resources: tuple[Resource, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Model:
    """One entry: `name` for its resources, `backends` first to last.

    `answers` are the router's that lead to it: its own cluster, and the pools that it is the first of.
    """

    entry: ModelProvider
    endpoint: Endpoint
    name: str
    backends: tuple[str, ...]
    answers: tuple[str, ...]


def render(config: Config, *, gateway: str = "llm", gateway_class: str = "eg") -> Rendered:
    """Every resource of a configuration that was loaded with `References`."""
    models = _models(config)
    resources = (
        _envoy_proxy(gateway, _variables(config)),
        _gateway(gateway, gateway_class, config.listeners),
        _client_traffic_policy(gateway, config),
        _extension_policy(gateway, config),
        _backend_traffic_policy(gateway, config),
        *_undecided(gateway),
        *_backends(models),
        *(_model_route(gateway, model) for model in models),
    )
    return Rendered(resources, tuple(_lost(config, models)))


def _envoy_proxy(gateway: str, variables: Sequence[str]) -> Resource:
    """The keys, for the proxies of this Gateway: the Secret stands in the namespace where those run."""
    environment: list[Value] = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": name, "optional": True}}}
        for name in variables
    ]
    container: Value = {"container": {"env": environment}}
    spec: Mapping[str, Value] = {"provider": {"type": "Kubernetes", "kubernetes": {"envoyDeployment": container}}}
    return _resource(f"{ENVOY_GATEWAY}/v1alpha1", "EnvoyProxy", gateway, spec)


def _gateway(gateway: str, gateway_class: str, listeners: Sequence[Listener]) -> Resource:
    return _resource(
        f"{GATEWAY_API}/v1",
        "Gateway",
        gateway,
        {
            "gatewayClassName": gateway_class,
            "infrastructure": {"parametersRef": {"group": ENVOY_GATEWAY, "kind": "EnvoyProxy", "name": gateway}},
            "listeners": [
                {"name": _slug(listener.name), "protocol": "HTTP", "port": listener.port} for listener in listeners
            ],
        },
    )


def _client_traffic_policy(gateway: str, config: Config) -> Resource:
    return _resource(
        f"{ENVOY_GATEWAY}/v1alpha1",
        "ClientTrafficPolicy",
        gateway,
        {
            "targetRefs": [_gateway_reference(gateway)],
            "connection": {"bufferLimit": str(config.limits.max_body_bytes)},
            "headers": {"earlyRequestHeaders": {"remove": list(CLIENT_MAY_NOT_SEND)}},
            "timeout": {"http": {"requestReceivedTimeout": "300s"}},
        },
    )


def _extension_policy(gateway: str, config: Config) -> Resource:
    return _resource(
        f"{ENVOY_GATEWAY}/v1alpha1",
        "EnvoyExtensionPolicy",
        gateway,
        {
            "targetRefs": [_gateway_reference(gateway)],
            "extProc": [
                {
                    "backendRefs": [{"name": "router", "port": 9910}],
                    "failOpen": False,
                    "statusOnError": 503,
                    "messageTimeout": f"{round((config.router.timeout + _SERVICE_MARGIN_S) * 1000)}ms",
                    "processingMode": {"request": {"body": "Buffered"}},
                    "metadata": {"writableNamespaces": [METADATA_NAMESPACE]},
                }
            ],
        },
    )


def _backend_traffic_policy(gateway: str, config: Config) -> Resource:
    """Streams take as long as they take; what failed before its first byte is tried again, and then elsewhere."""
    timeout = max((listener.timeout for listener in config.listeners), default=0.0)
    return _resource(
        f"{ENVOY_GATEWAY}/v1alpha1",
        "BackendTrafficPolicy",
        gateway,
        {
            "targetRefs": [_gateway_reference(gateway)],
            "timeout": {
                "http": {
                    "requestTimeout": f"{timeout:g}s",
                    "streamIdleTimeout": f"{config.limits.upstream_idle_timeout:g}s",
                }
            },
            "retry": {
                "numRetries": 1,
                "numAttemptsPerPriority": 1,
                "retryOn": {
                    "triggers": ["connect-failure", "refused-stream", "reset", "retriable-status-codes"],
                    "httpStatusCodes": [429, 500, 502, 503, 504],
                },
            },
        },
    )


def _undecided(gateway: str) -> Sequence[Resource]:
    message = "The router named no model that this gateway has a route for."
    body = f'{{"error":{{"message":"{message}","type":"server_error","param":null,"code":"router_unavailable"}}}}'
    reply: Mapping[str, Value] = {
        "statusCode": 503,
        "contentType": "application/json",
        "body": {"type": "Inline", "inline": body},
    }
    rule: Mapping[str, Value] = {
        "name": "undecided",
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "filters": [_extension("HTTPRouteFilter", "undecided")],
    }
    return (
        _resource(f"{ENVOY_GATEWAY}/v1alpha1", "HTTPRouteFilter", "undecided", {"directResponse": reply}),
        _route(gateway, "undecided", rule),
    )


def _backends(models: Sequence[_Model]) -> Iterator[Resource]:
    """Each address once, and once more where it stands in for another."""
    seen: set[str] = set()
    endpoints = {model.name: model.endpoint for model in models}
    for model in models:
        for position, name in enumerate(model.backends):
            if name in seen:
                continue
            seen.add(name)
            yield from _backend(name, endpoints[name.removesuffix(_FALLBACK)], is_fallback=position > 0)


def _backend(name: str, address: Endpoint, *, is_fallback: bool) -> Iterator[Resource]:
    target: Mapping[str, Value] = (
        {"ip": {"address": address.host, "port": address.port}}
        if is_ip(address.host)
        else {"fqdn": {"hostname": address.host, "port": address.port}}
    )
    spec: dict[str, Value] = {"endpoints": [target]}
    if is_fallback:
        spec["fallback"] = True
    yield _resource(f"{ENVOY_GATEWAY}/v1alpha1", "Backend", name, spec)
    if address.tls:
        yield _resource(
            f"{GATEWAY_API}/v1",
            "BackendTLSPolicy",
            name,
            {
                "targetRefs": [{"group": ENVOY_GATEWAY, "kind": "Backend", "name": name}],
                "validation": {"wellKnownCACertificates": "System", "hostname": address.tls_name},
            },
        )


def _model_route(gateway: str, model: _Model) -> Resource:
    """The longest path that fits is matched, so /v1/messages is a rule of its own where its credential is."""
    address = model.endpoint
    rules = [_model_rule("model", "/v1", address.path_prefix, address.auth, model)]
    if address.messages_auth is not address.auth:
        path = Api.MESSAGES.path
        rewritten = f"{address.path_prefix}{path.removeprefix('/v1')}"
        rules.append(_model_rule("messages", path, rewritten, address.messages_auth, model))
    return _route(gateway, f"model-{model.name}", *rules)


def _model_rule(name: str, path: str, rewritten: str, auth: Auth, model: _Model) -> Mapping[str, Value]:
    headers = [{"type": "Exact", "name": UPSTREAM_HEADER, "value": answer} for answer in model.answers]
    return {
        "name": name,
        "matches": [{"path": {"type": "PathPrefix", "value": path}, "headers": [header]} for header in headers],
        "filters": list(_filters(model, auth, rewritten if rewritten != path else None)),
        "backendRefs": [{"group": ENVOY_GATEWAY, "kind": "Backend", "name": name} for name in model.backends],
    }


def _filters(model: _Model, auth: Auth, path: str | None) -> Iterator[Mapping[str, Value]]:
    """`path` is what replaces the one that was matched; None where it stays."""
    address = model.endpoint
    sets = dict(_credentials(model.entry, auth))
    removes = INTERNAL_HEADERS if address.auth is Auth.PASSTHROUGH else (*CLIENT_CREDENTIALS, *INTERNAL_HEADERS)
    request: dict[str, Value] = {"remove": [name for name in (UPSTREAM_HEADER, *removes) if name not in sets]}
    if sets:
        request["set"] = [{"name": name, "value": value} for name, value in sets.items()]
    yield {"type": "RequestHeaderModifier", "requestHeaderModifier": request}
    rewrite: dict[str, Value] = {}
    if ":" not in address.authority and not is_ip(address.authority):
        rewrite["hostname"] = address.authority
    if path is not None:
        rewrite["path"] = {"type": "ReplacePrefixMatch", "replacePrefixMatch": path or "/"}
    if rewrite:
        yield {"type": "URLRewrite", "urlRewrite": rewrite}
    shown: list[Value] = [
        {"name": header, "value": f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:{key})%"} for header, key in DECISION_HEADERS
    ]
    if model.entry.model_id != WILDCARD:
        shown.append({"name": SERVED_BY_HEADER, "value": model.entry.model.replace("%", "%%")})
    yield {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": shown}}


def _credentials(entry: ModelProvider, auth: Auth) -> Iterator[tuple[str, str]]:
    """Headers that only Envoy's environment can fill in."""
    if auth.injects and entry.access_key is not None:
        yield auth.header, auth.prefix + _operators(entry.access_key.get_secret_value())
    for name, value in entry.headers.items():
        yield name.lower(), _operators(value.get_secret_value())


def _operators(text: str) -> str:
    return _MARK.sub(r"%ENVIRONMENT(\1)%", text.replace("%", "%%"))


def _variables(config: Config) -> list[str]:
    """The variables that the credentials name, in the order of the file."""
    texts = [
        secret.get_secret_value()
        for entry in config.model_providers
        for secret in (entry.access_key, *entry.headers.values())
        if secret is not None
    ]
    return list(dict.fromkeys(name for text in texts for name in _MARK.findall(text)))


_FALLBACK = "-fallback"


def _models(config: Config) -> tuple[_Model, ...]:
    names = _names([entry.key for entry in config.model_providers])
    led = pools(config)
    found = []
    for entry in config.model_providers:
        name = names[entry.key]
        stand_in = _stand_in(config, entry)
        backends = (name,) if stand_in is None else (name, names[stand_in.key] + _FALLBACK)
        answers = (f"model/{entry.key}", *(pool.cluster for pool in led if pool.members[0].entry.key == entry.key))
        found.append(_Model(entry, endpoint(entry), name, backends, answers))
    return tuple(found)


def _stand_in(config: Config, entry: ModelProvider) -> ModelProvider | None:
    """The entry that follows in every pool that has both, if a request for `entry` fits it as it is."""
    by_name = {name: other for other in config.model_providers for name in (other.model, other.name) if name}
    pools = [[by_name.get(name) for name in preference.models] for preference in config.routing_preferences]
    followers = [pool[pool.index(entry) + 1 :] for pool in pools if entry in pool]
    first = [pool[0] for pool in followers if pool]
    if not first or any(other != first[0] for other in first):
        return None
    return first[0] if first[0] is not None and _interchangeable(entry, first[0]) else None


def _interchangeable(one: ModelProvider, other: ModelProvider) -> bool:
    a, b = endpoint(one), endpoint(other)
    return (
        one.model_id == other.model_id
        and (one.access_key, one.headers) == (other.access_key, other.headers)
        and (a.path_prefix, a.query, a.auth) == (b.path_prefix, b.query, b.auth)
    )


def _lost(config: Config, models: Sequence[_Model]) -> Iterator[str]:
    for model in models:
        if model.endpoint.query:
            yield f"{model.entry.key}: the query '{model.endpoint.query}'; clients must send it"
        if ":" in model.endpoint.authority and (model.endpoint.tls or model.entry.http_host is not None):
            yield f"{model.entry.key}: the Host header {model.endpoint.authority}; the provider gets the client's"
    if _is_observed(config):
        yield "prefer: fastest: what Envoy measures; name a source of latencies with provider: prometheus"
    stand_ins = {model.entry.key: len(model.backends) > 1 for model in models}
    for preference in config.routing_preferences:
        rest = preference.models[1:]
        first = next((model for model in models if preference.models[0] in (model.entry.name, model.entry.model)), None)
        if rest and (first is None or not stand_ins[first.entry.key] or len(rest) > 1):
            yield f"routing_preferences '{preference.name}': the pool after {preference.models[0]} ({', '.join(rest)})"


def _is_observed(config: Config) -> bool:
    """Whether models are ranked by the histogram that only our own rendering has."""
    ranked = [preference.selection_policy.prefer for preference in config.routing_preferences]
    ranked += [alias.selection_policy.prefer for alias in config.model_aliases.values()]
    return "fastest" in ranked and not any(source.provider == "prometheus" for source in config.model_metrics_sources)


def _route(gateway: str, name: str, *rules: Mapping[str, Value]) -> Resource:
    spec: Mapping[str, Value] = {"parentRefs": [{"name": gateway}], "rules": list(rules)}
    return _resource(f"{GATEWAY_API}/v1", "HTTPRoute", name, spec)


def _extension(kind: str, name: str) -> Mapping[str, Value]:
    return {"type": "ExtensionRef", "extensionRef": {"group": ENVOY_GATEWAY, "kind": kind, "name": name}}


def _gateway_reference(gateway: str) -> Mapping[str, Value]:
    return {"group": GATEWAY_API, "kind": "Gateway", "name": gateway}


def _resource(api_version: str, kind: str, name: str, spec: Mapping[str, Value]) -> Resource:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _names(keys: Sequence[str]) -> dict[str, str]:
    """A resource name for each key (RFC 1123: `[a-z0-9-]`, at most 63, less room for what we put around it)."""
    slugs = {key: _slug(key) for key in keys}
    shared = [slug for slug in slugs.values() if list(slugs.values()).count(slug) > 1]
    return {
        key: slug if slug not in shared and len(slug) <= 45 else f"{slug[:36]}-{_hash(key)}"
        for key, slug in slugs.items()
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "model"
