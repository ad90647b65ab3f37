"""One internal listener per model: the request as its provider wants it.

Whatever arrives here is the client's own request (Envoy retries from that), so each attempt gets this model's path,
host and credentials and nothing of another's. Filter order: ext_proc puts this model's id into the body of an attempt
that comes with another's (a route tells, so a first attempt never asks), header_mutation takes away what a provider
must not see, credential_injector adds what it must, router rewrites path and host and forwards.

A request arrives in an API that this provider takes, and leaves in the same. Translating between APIs would belong
here, for the same reasons as all the rest: it is per attempt, and starts from the client's own request.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from envoy_data_plane.envoy.config.common.mutation_rules.v3 import HeaderMutation as HeaderMutationRule
from envoy_data_plane.envoy.config.core.v3 import (
    KeyValueAppend,
    KeyValueAppendKeyValueAppendAction,
    KeyValueMutation,
    KeyValuePair,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain, ListenerInternalListenerConfig
from envoy_data_plane.envoy.config.listener.v3 import Listener as EnvoyListener
from envoy_data_plane.envoy.config.route.v3 import (
    FilterConfig,
    HeaderMatcher,
    RetryPolicy,
    RetryPolicyRetryBackOff,
    RetryPolicyRetryHostPredicate,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.http.credential_injector.v3 import CredentialInjector
from envoy_data_plane.envoy.extensions.filters.http.header_mutation.v3 import HeaderMutation, Mutations
from envoy_data_plane.envoy.extensions.filters.http.header_to_metadata.v3 import (
    Config as HeaderToMetadata,
)
from envoy_data_plane.envoy.extensions.filters.http.header_to_metadata.v3 import (
    ConfigKeyValuePair,
    ConfigRule,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerServerHeaderTransformation,
    HttpFilter,
)
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import (
    HeaderMutation as EarlyHeaderMutation,
)
from envoy_data_plane.envoy.extensions.http.injected_credentials.generic.v3 import Generic
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import SdsSecretConfig
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher
from envoy_data_plane.google.protobuf import Any, Value

from router_service.config.models import Config, Limits, ModelProvider
from router_service.config.providers import Auth, Endpoint, apis
from router_service.config.providers import endpoint as endpoint_of
from router_service.dataplane.access_log import attempt_log
from router_service.dataplane.clusters import model_cluster_name, provider_cluster_name
from router_service.dataplane.deployment import Deployment
from router_service.dataplane.filters import edit_model, router_filter, without_edit
from router_service.dataplane.first_byte import first_byte_log
from router_service.dataplane.headers import (
    CLIENT_CREDENTIALS,
    HOST_HEADERS,
    INTERNAL_HEADERS,
    INTERNAL_PREFIXES,
    NO_RETRY_HEADER,
    OUR_RESPONSE_HEADERS,
    SERVED_BY_HEADER,
)
from router_service.dataplane.local_replies import MODEL_REPLIES, local_reply_config
from router_service.dataplane.messages import (
    default_header,
    extension,
    http_filter,
    remove_headers,
    seconds,
    set_header,
    watched_file,
)
from router_service.dataplane.pools import Served
from router_service.dataplane.protojson import Packed
from router_service.dataplane.secrets import Credential
from router_service.extproc.stream import ATTEMPT_HEADER
from router_service.extproc.wire import METADATA_NAMESPACE, MODEL_HEADER
from router_service.routing.api import Api
from router_service.routing.catalog import WILDCARD

CLIENT_PREFIX = "/v1/"  # of every path that the service routes

# What every request to Anthropic's API must have (https://docs.anthropic.com/en/api/versioning).
ANTHROPIC_VERSION = ("anthropic-version", "2023-06-01")

# Filters that a route can leave out: the provider's key as it goes everywhere, and as it goes to /v1/messages.
KEY = "envoy.filters.http.credential_injector/key"
MESSAGES_KEY = "envoy.filters.http.credential_injector/messages-key"


# A body may have grown by the model's id since the edge measured it.
MODEL_ID_BYTES = 4096


def model_listener(
    model: Served, credentials: tuple[Credential, ...], config: Config, deployment: Deployment
) -> EnvoyListener:
    entry = model.entry
    endpoint = endpoint_of(entry)
    name = model_cluster_name(entry)
    manager = HttpConnectionManager(
        stat_prefix="model",
        route_config=RouteConfiguration(name=name, virtual_hosts=[_virtual_host(model, endpoint, config)]),
        http_filters=[
            *([_remember_member()] if entry.model_id == WILDCARD else []),
            *([edit_model()] if model.edits_model else []),
            http_filter("envoy.filters.http.header_mutation", HeaderMutation(mutations=_mutations(endpoint))),
            *_credential_injectors(endpoint, credentials, deployment),
            router_filter(),
        ],
        early_header_mutation_extensions=[_tell_model(entry)] if model.edits_model else [],
        access_log=[attempt_log(deployment, entry.key), first_byte_log(entry.key)],
        local_reply_config=local_reply_config(MODEL_REPLIES, to_anthropic=Api.MESSAGES in apis(entry)),
        use_remote_address=False,
        skip_xff_append=True,
        generate_request_id=False,
        server_header_transformation=HttpConnectionManagerServerHeaderTransformation.PASS_THROUGH,
        stream_idle_timeout=seconds(0),  # the route bounds silence, and the edge's end ends this stream too
        delayed_close_timeout=seconds(0),  # for networks, where an early close can lose what was sent; this is memory
    )
    return EnvoyListener(
        name=name,
        internal_listener=ListenerInternalListenerConfig(),
        filter_chains=[
            FilterChain(
                filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=Packed(manager))]
            )
        ],
    )


def _tell_model(entry: ModelProvider) -> TypedExtensionConfig:
    """For the service, which is asked to put this id into the body; header_mutation takes it away again."""
    rule = HeaderMutationRule(append=set_header(ATTEMPT_HEADER, entry.model_id.replace("%", "%%")))
    return extension("envoy.http.early_header_mutation.header_mutation", EarlyHeaderMutation(mutations=[rule]))


def _remember_member() -> HttpFilter:
    """Which member of a wildcard this request is for, for the response: the header itself goes no further."""
    rule = ConfigRule(
        header=MODEL_HEADER, on_header_present=ConfigKeyValuePair(metadata_namespace=METADATA_NAMESPACE, key="model")
    )
    return http_filter("envoy.filters.http.header_to_metadata", HeaderToMetadata(request_rules=[rule]))


def _mutations(endpoint: Endpoint) -> Mutations:
    names = INTERNAL_HEADERS if endpoint.auth is Auth.PASSTHROUGH else (*CLIENT_CREDENTIALS, *INTERNAL_HEADERS)
    query = [pair.partition("=") for pair in endpoint.query.split("&") if pair]
    return Mutations(
        request_mutations=remove_headers(names, prefixes=INTERNAL_PREFIXES),
        query_parameter_mutations=[_set_query_parameter(key, value) for key, _, value in query],
    )


def _set_query_parameter(key: str, value: str) -> KeyValueMutation:
    return KeyValueMutation(
        append=KeyValueAppend(
            record=KeyValuePair(key=key, value=Value(string_value=value)),
            action=KeyValueAppendKeyValueAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
        )
    )


def _credential_injectors(
    endpoint: Endpoint, credentials: tuple[Credential, ...], deployment: Deployment
) -> Iterator[HttpFilter]:
    auth = endpoint.messages_auth
    for credential in credentials:
        if _has_messages_key(endpoint) and credential.header == endpoint.auth.header:
            yield _credential_injector(KEY, credential, deployment)
            presented = replace(credential, header=auth.header, header_prefix=auth.prefix)
            yield _credential_injector(MESSAGES_KEY, presented, deployment)
        else:
            yield _credential_injector("envoy.filters.http.credential_injector", credential, deployment)


def _has_messages_key(endpoint: Endpoint) -> bool:
    return endpoint.messages_auth is not endpoint.auth


def _credential_injector(filter_name: str, credential: Credential, deployment: Deployment) -> HttpFilter:
    directory, _, name = credential.file.rpartition("/")
    return http_filter(
        filter_name,
        CredentialInjector(
            overwrite=True,
            credential=extension(
                "envoy.http.injected_credentials.generic",
                Generic(
                    credential=SdsSecretConfig(
                        name=credential.name, sds_config=watched_file(f"{deployment.directory}/{directory}", name)
                    ),
                    header=credential.header,
                    header_value_prefix=credential.header_prefix,
                ),
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class _Way:
    """A path of the client's API on its way to the provider. `without` are filters that it does not pass."""

    match: RouteMatch
    action: RouteAction
    without: dict[str, Any]
    adds: tuple[str, str] | None = None


def _ways(entry: ModelProvider, endpoint: Endpoint, limits: Limits) -> Iterator[_Way]:
    """The narrower path first."""
    differs = _has_messages_key(endpoint)
    if Api.MESSAGES in apis(entry):
        path = Api.MESSAGES.path
        yield _Way(
            RouteMatch(path_separated_prefix=path),
            _forward(endpoint, path, f"{endpoint.path_prefix}/messages", limits),
            _leave_out(KEY) if differs else {},
            ANTHROPIC_VERSION,
        )
    yield _Way(
        RouteMatch(prefix=CLIENT_PREFIX),
        _forward(endpoint, CLIENT_PREFIX, f"{endpoint.path_prefix}/", limits),
        _leave_out(MESSAGES_KEY) if differs else {},
    )


def _leave_out(filter_name: str) -> dict[str, Any]:
    return {filter_name: Packed(FilterConfig(disabled=True))}


def _virtual_host(model: Served, endpoint: Endpoint, config: Config) -> VirtualHost:
    entry = model.entry
    is_wildcard = entry.model_id == WILDCARD
    served_by = f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:model)%" if is_wildcard else entry.model.replace("%", "%%")
    host = VirtualHost(
        name=model_cluster_name(entry),
        domains=["*"],
        routes=[route for way in _ways(entry, endpoint, config.limits) for route in _routes(way, model)],
        response_headers_to_remove=[*HOST_HEADERS, *OUR_RESPONSE_HEADERS, NO_RETRY_HEADER],
        response_headers_to_add=[
            set_header(SERVED_BY_HEADER, served_by),
            # Empty, and so left out, where the request came as one of several attempts (`clusters.model_cluster`).
            set_header(NO_RETRY_HEADER, "%DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID%"),
        ],
    )
    if model.edits_model:
        host.request_body_buffer_limit = config.limits.max_body_bytes + MODEL_ID_BYTES
    return host


def _routes(way: _Way, model: Served) -> Iterator[Route]:
    adds = [default_header(*way.adds)] if way.adds else []
    if model.edits_model:
        is_this = HeaderMatcher(name=MODEL_HEADER, string_match=StringMatcher(exact=model.entry.model))
        yield Route(
            name="the body names this model",
            match=replace(way.match, headers=[is_this]),
            route=way.action,
            request_headers_to_add=adds,
            typed_per_filter_config={**without_edit(), **way.without},
        )
    yield Route(match=way.match, route=way.action, request_headers_to_add=adds, typed_per_filter_config=way.without)


def _forward(endpoint: Endpoint, prefix: str, rewritten: str, limits: Limits) -> RouteAction:
    policy = _reconnect()
    policy.per_try_idle_timeout = seconds(limits.upstream_idle_timeout)
    if limits.first_byte_timeout:
        policy.per_try_timeout = seconds(limits.first_byte_timeout)  # Envoy's ends with the first byte; there is a test
    return RouteAction(
        cluster=provider_cluster_name(endpoint),
        prefix_rewrite="" if prefix == rewritten else rewritten,
        host_rewrite_literal=endpoint.authority,
        timeout=seconds(0),  # the edge bounds the whole response
        retry_policy=policy,
    )


def _reconnect() -> RetryPolicy:
    """One more connection where the first carried nothing of the request: the provider has not seen it.

    Of a name with several addresses the balancer picks by chance, so it may have to pick often until it finds another
    than the one that refused.
    """
    return RetryPolicy(
        retry_on="connect-failure,refused-stream,reset-before-request",
        num_retries=1,
        retry_back_off=RetryPolicyRetryBackOff(base_interval=seconds(0.001), max_interval=seconds(0.01)),
        retry_host_predicate=[
            RetryPolicyRetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts", typed_config=Packed(PreviousHostsPredicate())
            )
        ],
        host_selection_retry_max_attempts=20,
    )
