"""Who is told what became of each request: one metric and one log line.

Never writes a prompt, a key, an upstream's address or a client's text. docs/operations.md has the table of fields; a
test compares it with the calls in here.
"""

from __future__ import annotations

from router_service.errors import RequestError
from router_service.routing.decision import Decision
from router_service.routing.ranking import Prefer
from router_service.telemetry.logs import Log
from router_service.telemetry.metrics import Metrics


class Recorder:
    """The servicer's `Recorder`. Never waits; `python -m benchmarks.telemetry_cost` measures what it costs."""

    def __init__(self, metrics: Metrics, log: Log) -> None:
        self._metrics = metrics
        self._log = log
        self.stream_opened = metrics.stream_opened
        self.stream_closed = metrics.stream_closed

    def decided(self, decision: Decision, *, request_id: str, seconds: float) -> None:
        """The request got a model, `seconds` after its last byte arrived."""
        self._metrics.decided(decision, seconds)
        asked = decision.classification
        self._log.info(
            "decided",
            model=decision.model,
            source=decision.source,
            route=decision.route,
            reason=decision.reason,
            ranked_by=None if decision.ranked_by is Prefer.NONE else decision.ranked_by,
            classifier=asked.backend if asked else None,
            confidence=round(asked.confidence, 3) if asked and asked.confidence is not None else None,
            failed=asked.failed if asked else None,
            classifier_ms=round(asked.latency_s * 1e3, 3) if asked else None,
            ms=round(seconds * 1e3, 3),
            request_id=request_id or None,
        )

    def rejected(self, error: RequestError, *, request_id: str, seconds: float) -> None:
        """The request was answered with `error`. Its message may quote the client, so it is not written."""
        self._metrics.rejected(error)
        self._log.info(
            "rejected",
            reason=error.reason,
            status=error.status,
            param=error.param,
            ms=round(seconds * 1e3, 3),
            request_id=request_id or None,
        )

    def failed(self, error: Exception, *, request_id: str) -> None:
        """A defect of ours; the client is answered, and counted, as rejected."""
        self._log.error("failed", exc_info=error, request_id=request_id or None)
