"""The listener that clients connect to: what it strips, what it bounds, and its routes.

They follow the header that the router service sets. How often to retry depends on how many models there are to try: one
route for each pool as it is written, one for all other orders of so many models, one for every single model. They match
every path: the service knows the paths, and answers for the others itself.
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.core.v3 import Address, HttpProtocolOptions, SocketAddress
from envoy_data_plane.envoy.config.listener.v3 import Filter, FilterChain
from envoy_data_plane.envoy.config.listener.v3 import Listener as EnvoyListener
from envoy_data_plane.envoy.config.route.v3 import (
    HeaderMatcher,
    RetryPolicy,
    RetryPolicyRetryBackOff,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpConnectionManagerServerHeaderTransformation,
)
from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation.v3 import HeaderMutation
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher

from router_service.config.models import Config, Listener
from router_service.dataplane.access_log import request_log
from router_service.dataplane.deployment import Deployment
from router_service.dataplane.filters import edge_filters
from router_service.dataplane.headers import ATTEMPTS_HEADER, CLIENT_MAY_NOT_SEND, DECISION_HEADERS, NO_RETRY_HEADER
from router_service.dataplane.local_replies import EDGE_REPLIES, local_reply_config
from router_service.dataplane.messages import extension, remove_headers, seconds, set_header
from router_service.dataplane.pools import pools
from router_service.dataplane.protojson import Packed
from router_service.extproc.wire import METADATA_NAMESPACE, UPSTREAM_HEADER

# How much Envoy reads ahead of what it can pass on, per connection. Small, so that a slow reader holds up its own
# stream and not our memory, and that a piece of a compressed body cannot become a gigabyte; request bodies have their
# own bound.
CONNECTION_BUFFER_BYTES = 32 * 1024

# A client that is slower than this is stuck, or means harm. 32 MiB take 270 s at 1 Mbit/s.
REQUEST_HEADERS_TIMEOUT_S = 30
REQUEST_TIMEOUT_S = 300
CONNECTION_IDLE_S = 900

# A model's listener ends an attempt at a silent provider, with an answer that says so; this must not come first.
STREAM_IDLE_MARGIN_S = 60

# What makes Envoy try the next model of a pool; always before the first byte of an answer.
RETRY_ON = "5xx,retriable-status-codes,connect-failure,reset"
TOO_MANY_REQUESTS = 429

# The next attempt goes to another model, so there is little to wait for: a random time below 2, 6 and then 10 ms, to
# spread the load of many requests that fail at once.
RETRY_BASE_S = 0.002
RETRY_MAX_S = 0.01


def edge_listener(config: Config, listener: Listener, deployment: Deployment) -> EnvoyListener:
    manager = HttpConnectionManager(
        stat_prefix=listener.name,
        route_config=RouteConfiguration(name=listener.name, virtual_hosts=[_virtual_host(config, listener)]),
        http_filters=edge_filters(config),
        access_log=[request_log(deployment)],
        local_reply_config=local_reply_config(EDGE_REPLIES, to_anthropic=True),
        early_header_mutation_extensions=[
            extension(
                "envoy.http.early_header_mutation.header_mutation",
                HeaderMutation(mutations=remove_headers(CLIENT_MAY_NOT_SEND, prefixes=["x-envoy-"])),
            )
        ],
        use_remote_address=True,
        normalize_path=True,
        merge_slashes=True,
        preserve_external_request_id=True,
        server_header_transformation=HttpConnectionManagerServerHeaderTransformation.APPEND_IF_ABSENT,
        common_http_protocol_options=HttpProtocolOptions(idle_timeout=seconds(CONNECTION_IDLE_S)),
        request_headers_timeout=seconds(REQUEST_HEADERS_TIMEOUT_S),
        request_timeout=seconds(REQUEST_TIMEOUT_S),
        stream_idle_timeout=seconds(config.limits.upstream_idle_timeout + STREAM_IDLE_MARGIN_S),
    )
    return EnvoyListener(
        name=listener.name,
        address=Address(socket_address=SocketAddress(address=listener.address, port_value=listener.port)),
        per_connection_buffer_limit_bytes=CONNECTION_BUFFER_BYTES,
        filter_chains=[
            FilterChain(
                filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=Packed(manager))]
            )
        ],
    )


def _virtual_host(config: Config, listener: Listener) -> VirtualHost:
    decision = [
        set_header(header, f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:{key})%") for header, key in DECISION_HEADERS
    ]
    return VirtualHost(
        name=listener.name,
        domains=["*"],
        request_body_buffer_limit=config.limits.max_body_bytes,
        response_headers_to_remove=[NO_RETRY_HEADER],
        response_headers_to_add=[*decision, set_header(ATTEMPTS_HEADER, "%UPSTREAM_REQUEST_ATTEMPT_COUNT%")],
        routes=[
            *_pool_routes(config, listener),
            Route(
                name="chosen",
                match=RouteMatch(prefix="/"),
                route=RouteAction(
                    # Before the service has replied there is no such header, and so no cluster; its reply makes Envoy
                    # choose again.
                    cluster_header=UPSTREAM_HEADER,
                    timeout=seconds(listener.timeout),
                ),
            ),
        ],
    )


def _pool_routes(config: Config, listener: Listener) -> list[Route]:
    """One for each pool, and one for all orders of so many models, whose names end in `~` and their positions."""
    found = pools(config)
    lengths = sorted({len(pool.members) for pool in found if not pool.is_as_written})
    return [
        *(
            Route(
                name=pool.cluster,
                match=_upstream_is(StringMatcher(exact=pool.cluster)),
                route=_try_each(config, listener, len(pool.members), cluster=pool.cluster),
            )
            for pool in found
            if pool.is_as_written
        ),
        *(
            Route(
                name=f"orders of {length}",
                match=_upstream_is(StringMatcher(safe_regex=RegexMatcher(regex=rf".+~\d+(\.\d+){{{length - 1}}}"))),
                route=_try_each(config, listener, length, cluster_header=UPSTREAM_HEADER),
            )
            for length in lengths
        ),
    ]


def _upstream_is(name: StringMatcher) -> RouteMatch:
    return RouteMatch(prefix="/", headers=[HeaderMatcher(name=UPSTREAM_HEADER, string_match=name)])


def _try_each(
    config: Config, listener: Listener, models: int, *, cluster: str | None = None, cluster_header: str | None = None
) -> RouteAction:
    more = models - 1
    policy = RetryPolicy(
        retry_on=RETRY_ON,
        retriable_status_codes=sorted({TOO_MANY_REQUESTS, *config.routing.retry_on}),
        # One more than there are members would hide the last one's answer behind an error of Envoy's own.
        num_retries=more if listener.max_retries is None else min(more, listener.max_retries),
        retry_back_off=RetryPolicyRetryBackOff(base_interval=seconds(RETRY_BASE_S), max_interval=seconds(RETRY_MAX_S)),
    )
    return RouteAction(
        cluster=cluster,
        cluster_header=cluster_header,
        timeout=seconds(listener.timeout),
        retry_policy=policy,
    )
