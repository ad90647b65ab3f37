"""What the service counts and times, and nothing about how the numbers are used.

Owns every metric's name, labels and buckets (docs/operations.md has the same table; a test compares them). Never labels
with a client's string: values come from the configuration (routes, aliases, entries of `model_providers`, where a
wildcard's members count as one) and from the closed sets of `routing.decision` and `errors`.

Each worker process writes its numbers into memory-mapped files of one private directory; the supervisor adds them up
when it is scraped, so a scrape costs a deciding worker nothing. Files are named by the worker's index, not by its pid:
a restarted worker goes on counting in the files of the one before it, and their number stays that of the workers.
Names follow https://prometheus.io/docs/practices/naming/.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

import prometheus_client.values
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.values import MultiProcessValue

from router_service import __version__
from router_service.errors import RequestError
from router_service.routing.decision import Classification, Decision, Reason, Source

# Half a millisecond is an embedded classification on a fast CPU, two seconds are more than any sensible router.timeout.
CLASSIFICATION_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

# A decision without a classifier takes a fraction of a millisecond.
DECISION_BUCKETS_S = (0.0001, 0.0002, *CLASSIFICATION_BUCKETS_S)


class Metrics:
    """The numbers of one worker. Method names say what happened; labels are looked up once and kept.

    With no registry the values exist only for `share_values`' files, which is how a worker runs.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        decisions = Counter(
            "router_decisions_total",
            "Requests that were given a model.",
            ["source", "route", "model", "reason"],
            registry=registry,
        )
        rejected = Counter(
            "router_rejected_requests_total",
            "Requests that were answered with an error.",
            ["reason"],
            registry=registry,
        )
        classification_seconds = Histogram(
            "router_classification_seconds",
            "One classifier's time for one conversation, waiting and retries included.",
            ["backend", "reason"],
            buckets=CLASSIFICATION_BUCKETS_S,
            registry=registry,
        )
        decision_seconds = Histogram(
            "router_decision_seconds",
            "From a request's last byte to its decision.",
            ["source"],
            buckets=DECISION_BUCKETS_S,
            registry=registry,
        )
        streams = _in_flight("router_streams_in_flight", "ext_proc streams that are open.", registry)
        classifications = _in_flight("router_classifications_in_flight", "Classifications under way.", registry)
        dropped = Counter(
            "router_log_lines_dropped_total",
            "Log lines lost because nobody read the log fast enough.",
            registry=registry,
        )
        read_at = Gauge(
            "router_metrics_source_read_timestamp_seconds",
            "When a source of prices or latencies was last read, in the worker where that is longest ago.",
            ["provider"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        priced = Gauge(
            "router_metrics_source_models",
            "Models of which a source says something, of those that are ranked by it.",
            ["provider"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        unread = Counter(
            "router_metrics_source_failures_total",
            "Times that a source of prices or latencies could not be read.",
            ["provider"],
            registry=registry,
        )
        self._source_read_at, self._source_models, self._source_failures = read_at.labels, priced.labels, unread.labels
        self._decisions: dict[tuple[Source, str | None, str, Reason], Callable[[], None]] = {}
        self._decisions_labels = decisions.labels
        # Every reason and source is there from the start, at zero, so that a rate over the first one is not lost.
        self._rejected = {reason: rejected.labels(reason).inc for reason in rejection_reasons()}
        self._decision_seconds = {source: decision_seconds.labels(source).observe for source in Source}
        self._classification_seconds: dict[tuple[str, Reason], Callable[[float], None]] = {}
        self._classification_labels = classification_seconds.labels
        self.stream_opened: Callable[[], None] = streams.inc
        self.stream_closed: Callable[[], None] = streams.dec
        self.classification_started: Callable[[], None] = classifications.inc
        self.classification_ended: Callable[[], None] = classifications.dec
        self.log_lines_dropped: Callable[[int], None] = dropped.inc

    def decided(self, decision: Decision, seconds: float) -> None:
        """A request got its model, `seconds` after its last byte arrived."""
        key = (decision.source, decision.route, decision.target.entry.key, decision.reason)
        count = self._decisions.get(key)
        if count is None:
            source, route, model, reason = key
            count = self._decisions[key] = self._decisions_labels(source, route or "", model, reason).inc
        count()
        self._decision_seconds[decision.source](seconds)

    def rejected(self, error: RequestError) -> None:
        """A request was answered with `error`."""
        self._rejected[error.reason]()

    def classified(self, classification: Classification) -> None:
        """One classifier answered, or failed to: once per classifier that was asked."""
        key = (classification.backend, classification.reason)
        observe = self._classification_seconds.get(key)
        if observe is None:
            observe = self._classification_seconds[key] = self._classification_labels(*key).observe
        observe(classification.latency_s)

    def source_read(self, provider: str, models: int, at: float) -> None:
        """A source of prices or latencies was read, `at` seconds since the epoch, and knows so many models."""
        self._source_read_at(provider).set(at)
        self._source_models(provider).set(models)

    def source_failed(self, provider: str) -> None:
        """A source of prices or latencies could not be read."""
        self._source_failures(provider).inc()


class ServiceMetrics:
    """The supervisor's own numbers, and the sum of its workers' under `directory`."""

    def __init__(self, directory: Path) -> None:
        self.registry = CollectorRegistry()
        self._directory = str(directory)
        MultiProcessCollector(self.registry, path=self._directory)  # type: ignore[no-untyped-call]
        Gauge(
            "router_build_info", "Always 1; the labels say what runs.", ["version", "python"], registry=self.registry
        ).labels(__version__, platform.python_version()).set(1)
        running = Gauge("router_workers", "Worker processes that are running.", registry=self.registry)
        restarts = Counter(
            "router_worker_restarts_total", "Worker processes that died and were started again.", registry=self.registry
        )
        self.worker_started: Callable[[], None] = running.inc
        self.worker_restarted: Callable[[], None] = restarts.inc
        self._running = running

    def worker_ended(self, worker: int) -> None:
        """A worker is gone: what it had in flight is in flight no more."""
        self._running.dec()
        mark_process_dead(worker, self._directory)  # type: ignore[no-untyped-call]


def share_values(directory: Path, worker: int) -> None:
    """Let every metric that this process makes from now on keep its values in files under `directory`.

    To be called once, before `Metrics()`: prometheus_client has one way of storing values per process.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    prometheus_client.values.ValueClass = MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]


def rejection_reasons() -> tuple[str, ...]:
    """The `reason` of every RequestError, in the order of the error tree."""
    errors: tuple[type[RequestError], ...] = (RequestError, *RequestError.__subclasses__())
    return tuple(dict.fromkeys(error.reason for error in errors))


def _in_flight(name: str, documentation: str, registry: CollectorRegistry | None) -> Gauge:
    return Gauge(name, documentation, registry=registry, multiprocess_mode="livesum")
