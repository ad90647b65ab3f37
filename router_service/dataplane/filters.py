"""The HTTP filters of the edge listener, in their order.

health_check   answers GET /healthz while a worker is reachable, for whatever stands in front of Envoy
decompressor   the service and the providers read plain JSON; a bound on what a small body may grow to
ext_proc       the router service decides
router         Envoy forwards
"""

from __future__ import annotations

from collections.abc import Iterable

from envoy_data_plane.envoy.config.core.v3 import (
    BackoffStrategy,
    GrpcService,
    GrpcServiceEnvoyGrpc,
    RetryPolicy,
    RetryPolicyRetryHostPredicate,
    RuntimeFeatureFlag,
)
from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher
from envoy_data_plane.envoy.extensions.compression.brotli.decompressor.v3 import Brotli
from envoy_data_plane.envoy.extensions.compression.gzip.decompressor.v3 import Gzip
from envoy_data_plane.envoy.extensions.compression.zstd.decompressor.v3 import Zstd
from envoy_data_plane.envoy.extensions.filters.http.decompressor.v3 import (
    Decompressor,
    DecompressorCommonDirectionConfig,
    DecompressorRequestDirectionConfig,
    DecompressorResponseDirectionConfig,
)
from envoy_data_plane.envoy.extensions.filters.http.ext_proc.v3 import (
    ExternalProcessor,
    ExtProcPerRoute,
    HeaderForwardingRules,
    MetadataOptions,
    MetadataOptionsMetadataNamespaces,
    ProcessingMode,
    ProcessingModeBodySendMode,
    ProcessingModeHeaderSendMode,
)
from envoy_data_plane.envoy.extensions.filters.http.health_check.v3 import HealthCheck
from envoy_data_plane.envoy.extensions.filters.http.router.v3 import Router
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate
from envoy_data_plane.envoy.type.matcher.v3 import ListStringMatcher, StringMatcher
from envoy_data_plane.envoy.type.v3 import HttpStatus, Percent, StatusCode
from envoy_data_plane.google.protobuf import Any

from router_service.config.models import Config
from router_service.dataplane.clusters import SERVICE_CLUSTER
from router_service.dataplane.messages import extension, http_filter, seconds
from router_service.dataplane.protojson import Packed
from router_service.extproc.stream import ATTEMPT_HEADERS, READ_HEADERS
from router_service.extproc.wire import METADATA_NAMESPACE

EXT_PROC = "envoy.filters.http.ext_proc"

HEALTH_PATH = "/healthz"

# What the service may take beyond the classification's own bound: reading, parsing and editing the largest body, on a
# busy machine. Envoy gives up on a worker that is silent for longer.
SERVICE_MARGIN_S = 2.0

# The most that deflate can compress (https://zlib.net/zlib_tech.html). Below it Envoy would cut a body short without a
# word; with it the decoded size is bounded by limits.max_body_bytes alone, and the client told. The other two formats
# have no such setting: a body that shrank a hundredfold arrives cut short, and is refused as broken JSON.
GZIP_MAX_RATIO = 1032


def edge_filters(config: Config) -> list[HttpFilter]:
    return [
        health_check(HEALTH_PATH),
        *(_decompressor(name, library) for name, library in _DECOMPRESSORS),
        _ext_proc(READ_HEADERS, timeout_s=config.router.timeout + SERVICE_MARGIN_S),
        router_filter(),
    ]


def edit_model() -> HttpFilter:
    """For a model's listener: the service puts this model's id into the body, and decides nothing."""
    return _ext_proc(ATTEMPT_HEADERS, timeout_s=SERVICE_MARGIN_S)


def without_edit() -> dict[str, Any]:
    """For a route on which `edit_model` is not asked: its `typed_per_filter_config`."""
    return {EXT_PROC: Packed(ExtProcPerRoute(disabled=True))}


def router_filter() -> HttpFilter:
    """Last in every chain. Says nothing about Envoy in headers, neither to the provider nor to the client."""
    return http_filter("envoy.filters.http.router", Router(suppress_envoy_headers=True))


def health_check(path: str) -> HttpFilter:
    """Answers `path` itself: 200 while Envoy is not draining and a worker is healthy, 503 otherwise."""
    return http_filter(
        "envoy.filters.http.health_check",
        HealthCheck(
            pass_through_mode=False,
            headers=[HeaderMatcher(name=":path", string_match=StringMatcher(exact=path))],
            cluster_min_healthy_percentages={SERVICE_CLUSTER: Percent(value=1.0)},  # one worker will do
        ),
    )


_DECOMPRESSORS = (("gzip", Gzip(max_inflate_ratio=GZIP_MAX_RATIO)), ("brotli", Brotli()), ("zstd", Zstd()))


def _decompressor(name: str, library: Gzip | Brotli | Zstd) -> HttpFilter:
    return http_filter(
        f"envoy.filters.http.decompressor.{name}",
        Decompressor(
            decompressor_library=extension(f"envoy.compression.{name}.decompressor", library),
            request_direction_config=DecompressorRequestDirectionConfig(
                common_config=DecompressorCommonDirectionConfig(ignore_no_transform_header=True),
                advertise_accept_encoding=False,
            ),
            # A provider's compressed response is the client's to decompress.
            response_direction_config=DecompressorResponseDirectionConfig(
                common_config=DecompressorCommonDirectionConfig(
                    enabled=RuntimeFeatureFlag(default_value=False, runtime_key="router.decompress_responses")
                )
            ),
        ),
    )


def _ask_another_worker() -> RetryPolicy:
    """For a worker that refuses, or ends before its first reply: deciding twice does no harm.

    The balancer favours the worker with the fewest requests, which a dead one always is, so it may have to choose
    often until it names another.
    """
    return RetryPolicy(
        retry_on="connect-failure,reset,unavailable,cancelled",
        num_retries=3,
        retry_back_off=BackoffStrategy(base_interval=seconds(0.005), max_interval=seconds(0.05)),
        retry_host_predicate=[
            RetryPolicyRetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts", typed_config=Packed(PreviousHostsPredicate())
            )
        ],
        host_selection_retry_max_attempts=20,
    )


def _ext_proc(headers: Iterable[str], *, timeout_s: float) -> HttpFilter:
    skip = ProcessingModeHeaderSendMode.SKIP
    return http_filter(
        EXT_PROC,
        ExternalProcessor(
            grpc_service=GrpcService(
                envoy_grpc=GrpcServiceEnvoyGrpc(cluster_name=SERVICE_CLUSTER), retry_policy=_ask_another_worker()
            ),
            # An undecided request must not reach a provider: its `model` may be `auto`, its key another's.
            failure_mode_allow=False,
            # The headers too, although only the path matters: without them Envoy has chosen the route before we reply.
            processing_mode=ProcessingMode(
                request_header_mode=ProcessingModeHeaderSendMode.SEND,
                request_body_mode=ProcessingModeBodySendMode.BUFFERED,
                request_trailer_mode=skip,
                response_header_mode=skip,
                response_body_mode=ProcessingModeBodySendMode.NONE,
                response_trailer_mode=skip,
            ),
            message_timeout=seconds(timeout_s),
            status_on_error=HttpStatus(code=StatusCode.ServiceUnavailable),
            # Only what the service reads; a client's credential never crosses this hop.
            forward_rules=HeaderForwardingRules(
                allowed_headers=ListStringMatcher(patterns=[StringMatcher(exact=name) for name in headers])
            ),
            metadata_options=MetadataOptions(
                receiving_namespaces=MetadataOptionsMetadataNamespaces(untyped=[METADATA_NAMESPACE])
            ),
        ),
    )
