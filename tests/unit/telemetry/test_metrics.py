"""What is counted, under which labels, and that several processes' numbers add up."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from router_service.errors import BodyTooLarge, RequestError, UnknownModel
from router_service.routing.decision import Classification, Reason
from router_service.telemetry.metrics import Metrics, ServiceMetrics, rejection_reasons
from tests.unit.telemetry.samples import MATCHED, REQUESTED


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


def test_decisions_are_counted_by_source_route_model_and_reason(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.decided(MATCHED, 0.003)
    metrics.decided(MATCHED, 0.003)
    metrics.decided(REQUESTED, 0.0001)

    matched = {"source": "preference", "route": "code generation", "model": "openai/gpt-5", "reason": "matched"}
    assert registry.get_sample_value("router_decisions_total", matched) == 2
    assert registry.get_sample_value("router_decision_seconds_count", {"source": "preference"}) == 2


def test_the_members_of_a_wildcard_count_as_one_model(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.decided(REQUESTED, 0.0001)

    labels = {"source": "model", "route": "", "model": "groq/*", "reason": "requested"}
    assert registry.get_sample_value("router_decisions_total", labels) == 1


def test_a_rejection_is_counted_under_its_reason(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.rejected(UnknownModel("The model 'x' does not exist here.", param="model"))

    assert registry.get_sample_value("router_rejected_requests_total", {"reason": "unknown_model"}) == 1


@pytest.mark.parametrize("reason", rejection_reasons())
def test_every_reason_for_a_rejection_is_zero_before_the_first(
    reason: str, metrics: Metrics, registry: CollectorRegistry
) -> None:
    assert registry.get_sample_value("router_rejected_requests_total", {"reason": reason}) == 0


def test_every_request_error_has_its_place_in_the_metric() -> None:
    def descendants(error: type[RequestError]) -> set[type[RequestError]]:
        return {error}.union(*(descendants(child) for child in error.__subclasses__()))

    assert {error.reason for error in descendants(RequestError)} == set(rejection_reasons())
    assert BodyTooLarge.reason in rejection_reasons()


def test_a_classification_is_timed_by_backend_and_reason(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.classified(Classification(Reason.TIMEOUT, backend="vllm", latency_s=0.5))
    metrics.classified(Classification(Reason.NO_ROUTE, backend="embedded", latency_s=0.0004))

    timeout = {"backend": "vllm", "reason": "timeout"}
    assert registry.get_sample_value("router_classification_seconds_sum", timeout) == 0.5
    fast = {"backend": "embedded", "reason": "no_route", "le": "0.0005"}
    assert registry.get_sample_value("router_classification_seconds_bucket", fast) == 1


def test_what_is_in_flight_goes_up_and_down(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.stream_opened()
    metrics.stream_opened()
    metrics.classification_started()
    metrics.stream_closed()
    metrics.classification_ended()

    assert registry.get_sample_value("router_streams_in_flight") == 1
    assert registry.get_sample_value("router_classifications_in_flight") == 0


# What a worker process does, without the worker: the way values are stored is chosen once per process.
WORKER = """
import sys
from pathlib import Path
from router_service.telemetry.metrics import Metrics, share_values
from tests.unit.telemetry.samples import MATCHED

share_values(Path(sys.argv[1]), int(sys.argv[2]))
metrics = Metrics()
metrics.stream_opened()
metrics.decided(MATCHED, 0.003)
"""

MATCHED_LABELS = {"source": "preference", "route": "code generation", "model": "openai/gpt-5", "reason": "matched"}


def run_worker(directory: Path, worker: int) -> None:
    subprocess.run([sys.executable, "-c", WORKER, str(directory), str(worker)], check=True, timeout=60)


def test_the_numbers_of_workers_add_up_and_a_restarted_worker_goes_on_counting(tmp_path: Path) -> None:
    service = ServiceMetrics(tmp_path)
    for worker in (0, 1):
        run_worker(tmp_path, worker)
    files = sorted(tmp_path.iterdir())
    run_worker(tmp_path, 1)

    assert service.registry.get_sample_value("router_decisions_total", MATCHED_LABELS) == 3
    assert service.registry.get_sample_value("router_decision_seconds_count", {"source": "preference"}) == 3
    assert sorted(tmp_path.iterdir()) == files


def test_what_a_dead_worker_had_in_flight_is_forgotten_and_its_counts_are_not(tmp_path: Path) -> None:
    service = ServiceMetrics(tmp_path)
    for worker in (0, 1):
        service.worker_started()
        run_worker(tmp_path, worker)
    assert service.registry.get_sample_value("router_streams_in_flight") == 2

    service.worker_ended(1)

    assert service.registry.get_sample_value("router_streams_in_flight") == 1
    assert service.registry.get_sample_value("router_decisions_total", MATCHED_LABELS) == 2
    assert service.registry.get_sample_value("router_workers") == 1
