"""How long each model takes to the first byte of its answer, as a histogram in Envoy's statistics.

`selection_policy.prefer: fastest` ranks by it, and Prometheus finds it at Envoy. Envoy's own `upstream_rq_time` will
not do: it ends with the last byte, so that it measures how long answers are, and an overloaded provider that refuses at
once looks fast in it. Counted from the attempt's arrival at the model's listener, connecting included; answers that are
errors are left out.
"""

from __future__ import annotations

from envoy_data_plane.envoy.config.accesslog.v3 import (
    AccessLog,
    AccessLogFilter,
    ComparisonFilter,
    ComparisonFilterOp,
    StatusCodeFilter,
)
from envoy_data_plane.envoy.config.core.v3 import RuntimeUInt32
from envoy_data_plane.envoy.extensions.access_loggers.stats.v3 import (
    Config as StatsAccessLog,
)
from envoy_data_plane.envoy.extensions.access_loggers.stats.v3 import (
    ConfigHistogram,
    ConfigHistogramUnit,
    ConfigStat,
    ConfigTag,
)
from envoy_data_plane.envoy.type.v3 import Scope

from router_service.dataplane.protojson import Packed


def first_byte_log(model: str) -> AccessLog:
    histogram = ConfigHistogram(
        stat=ConfigStat(name="first_byte_ms", tags=[ConfigTag(name="model", value_format=model.replace("%", "%%"))]),
        unit=ConfigHistogramUnit.Milliseconds,
        value_format="%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:ms)%",
    )
    return AccessLog(
        name="envoy.access_loggers.stats",
        typed_config=Packed(StatsAccessLog(stats_scope=Scope(prefix="router"), histograms=[histogram])),
        filter=AccessLogFilter(
            status_code_filter=StatusCodeFilter(
                comparison=ComparisonFilter(
                    op=ComparisonFilterOp.LE,
                    value=RuntimeUInt32(default_value=399, runtime_key="router.measure_first_byte_to_status"),
                )
            )
        ),
    )
