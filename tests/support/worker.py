"""A real worker in the test's own process, with a classifier and a recorder that the test holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from router_service.app import Worker
from router_service.classify import Classifier
from router_service.config.build import build_catalog
from router_service.config.models import Config
from router_service.config.service import UnixAddress
from router_service.errors import RequestError
from router_service.extproc.servicer import Recorder
from router_service.routing.conversation import Conversation
from router_service.routing.decision import Classification, Decision, Reason
from router_service.routing.ranking import Standings


class Names:
    """A classifier that answers what the test says."""

    backend = "embedded"

    def __init__(self, route: str) -> None:
        self.route = route

    async def classify(self, _: Conversation) -> Classification:
        return Classification(Reason.MATCHED, route=self.route, backend=self.backend)

    async def aclose(self) -> None:
        pass


@dataclass(slots=True)
class Counts:
    """A recorder that keeps what it was told."""

    streams: int = 0
    open: int = 0
    decisions: list[Decision] = field(default_factory=list)

    def stream_opened(self) -> None:
        self.streams += 1
        self.open += 1

    def stream_closed(self) -> None:
        self.open -= 1

    def decided(self, decision: Decision, *, request_id: str, seconds: float) -> None:
        self.decisions.append(decision)

    def rejected(self, error: RequestError, *, request_id: str, seconds: float) -> None:
        raise error

    def failed(self, error: Exception, *, request_id: str) -> None:
        raise error


async def start_worker(
    stack: AsyncExitStack,
    config: Config,
    directory: Path,
    classifier: Classifier,
    recorder: Recorder,
    *,
    standings: Callable[[], Standings] = Standings,
) -> UnixAddress:
    """Where it listens, until the stack is left."""
    worker = Worker(config, build_catalog(config), classifier, recorder, standings=standings)
    address = UnixAddress(f"{directory}/worker.sock")
    await worker.start(str(address))
    stack.push_async_callback(worker.drain)
    return address
