"""Taking an Envoy out of service without losing a request, over its admin interface.

Envoy ends at SIGTERM, in the middle of whatever it does. What comes before that is here: it fails its health checks, so
that load balancers turn away, and asks clients to connect elsewhere (`connection: close`, GOAWAY), while it goes on
serving all that arrives. It is drained when nothing is under way any more.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Protocol

from router_service.errors import SetupError

POLL_S = 0.5

# Requests at Envoy's own interfaces (the admin, and the status listener): nobody waits for those.
_OWN = frozenset({"http.admin.downstream_rq_active", "http.status.downstream_rq_active"})
_ACTIVE = "/stats?format=json&filter=%5Ehttp%5C..*%5C.downstream_rq_active%24"  # ^http\..*\.downstream_rq_active$


class Admin(Protocol):
    def fail_health_checks(self) -> None: ...

    def requests_under_way(self) -> int: ...


class EnvoyAdmin:
    """Envoy's admin on 127.0.0.1. Raises SetupError where there is none."""

    def __init__(self, port: int) -> None:
        self._port = port

    def fail_health_checks(self) -> None:
        self._ask("POST", "/healthcheck/fail")

    def requests_under_way(self) -> int:
        found = json.loads(self._ask("GET", _ACTIVE)).get("stats", [])
        return sum(stat["value"] for stat in found if "name" in stat and stat["name"] not in _OWN)

    def _ask(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request(method, path)
            return connection.getresponse().read()
        except OSError as error:
            reason = error.strerror or str(error)
            raise SetupError(f"No Envoy answers on its admin, 127.0.0.1:{self._port} ({reason}).") from error
        finally:
            connection.close()


def drain(
    envoy: Admin,
    *,
    settle_s: float,
    timeout_s: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> int:
    """Requests still under way at the end: 0, or what `timeout_s` was too short for.

    Waits for `settle_s` in any case: so long it takes until nobody new is sent here.
    """
    started = clock()
    envoy.fail_health_checks()
    while (elapsed := clock() - started) < timeout_s:
        if elapsed >= settle_s and envoy.requests_under_way() == 0:
            return 0
        sleep(POLL_S)
    return envoy.requests_under_way()
