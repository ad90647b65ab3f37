"""One JSON line a request, and one for every attempt at a provider that failed.

Neither holds a body, a credential or a query string (which may be one). Durations carry their unit in the name; what
does not apply is null.
Operators: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
"""

from __future__ import annotations

from collections.abc import Mapping

from envoy_data_plane.envoy.config.accesslog.v3 import (
    AccessLog,
    AccessLogFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    OrFilter,
    ResponseFlagFilter,
    StatusCodeFilter,
)
from envoy_data_plane.envoy.config.core.v3 import JsonFormatOptions, RuntimeUInt32, SubstitutionFormatString
from envoy_data_plane.envoy.extensions.access_loggers.file.v3 import FileAccessLog
from envoy_data_plane.envoy.extensions.access_loggers.stream.v3 import StdoutAccessLog
from envoy_data_plane.google.protobuf import Struct

from router_service.dataplane.deployment import Deployment
from router_service.dataplane.protojson import Packed
from router_service.extproc.wire import METADATA_NAMESPACE

_EXT_PROC = "envoy.filters.http.ext_proc"  # the filter's name in the chain, which is its filter state's key

REQUEST_FIELDS: Mapping[str, str] = {
    "event": "request",
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ:PATH)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "model": f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:model)%",
    "route": f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:route)%",
    "source": f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:source)%",
    "reason": f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:reason)%",
    "classifier": f"%DYNAMIC_METADATA({METADATA_NAMESPACE}:classifier)%",
    "upstream": "%UPSTREAM_CLUSTER_RAW%",
    "served_by": "%RESP(X-ROUTER-SERVED-BY)%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "duration_ms": "%DURATION%",
    "request_ms": "%REQUEST_DURATION%",  # to the request's last byte
    "first_byte_ms": "%RESPONSE_DURATION%",  # to the provider's first byte
    "router_headers_us": f"%FILTER_STATE({_EXT_PROC}:FIELD:request_header_latency_us)%",
    "router_body_us": f"%FILTER_STATE({_EXT_PROC}:FIELD:request_body_total_latency_us)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "user_agent": "%REQ(USER-AGENT)%",
    "protocol": "%PROTOCOL%",
}

ATTEMPT_FIELDS: Mapping[str, str] = {
    "event": "failed attempt",
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "provider": "%UPSTREAM_CLUSTER_RAW%",
    "address": "%UPSTREAM_HOST%",
    "duration_ms": "%DURATION%",
    "connections_tried": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
}


def request_log(deployment: Deployment) -> AccessLog:
    """For the edge listener: every request."""
    return _json_log(deployment, REQUEST_FIELDS)


def attempt_log(deployment: Deployment, model: str) -> AccessLog:
    """For one model's listener: what the edge's line cannot know, why this provider did not serve."""
    failed = AccessLogFilter(
        or_filter=OrFilter(
            filters=[
                AccessLogFilter(
                    status_code_filter=StatusCodeFilter(
                        comparison=ComparisonFilter(
                            op=ComparisonFilterOp.GE,
                            value=RuntimeUInt32(default_value=400, runtime_key="router.log_attempts_from_status"),
                        )
                    )
                ),
                AccessLogFilter(response_flag_filter=ResponseFlagFilter()),
            ]
        )
    )
    log = _json_log(deployment, {**ATTEMPT_FIELDS, "model": model.replace("%", "%%")})
    log.filter = failed
    return log


def _json_log(deployment: Deployment, fields: Mapping[str, str]) -> AccessLog:
    log_format = SubstitutionFormatString(
        json_format=Struct.from_dict(dict(fields)), json_format_options=JsonFormatOptions(sort_properties=False)
    )
    if deployment.access_log is None:
        return AccessLog(
            name="envoy.access_loggers.stdout", typed_config=Packed(StdoutAccessLog(log_format=log_format))
        )
    return AccessLog(
        name="envoy.access_loggers.file",
        typed_config=Packed(FileAccessLog(path=deployment.access_log, log_format=log_format)),
    )
