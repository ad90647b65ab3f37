"""wrk (https://github.com/wg/wrk) as a function: one run against one address, its figures as values."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from router_service.errors import SetupError

_SCRIPT = """
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["content-type"] = "application/json"
wrk.body = [==[%s]==]
function done(summary, latency, requests)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format('\\nRESULT {"requests": %%d, "failed": %%d, "seconds": %%f, "p50_ms": %%f, "p99_ms": %%f}\\n',
    summary.requests, failed, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured. `failed` counts socket errors and statuses of 400 and above."""

    requests: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def run_wrk(port: int, body: str, *, connections: int, duration_s: int) -> Load:
    """POST `body` to /v1/chat/completions on this machine's `port`, one thread. SetupError where there is no wrk."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SetupError("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT % body)
        script.flush()
        done = subprocess.run(
            [wrk, "-t1", f"-c{connections}", f"-d{duration_s}s", "-s", Path(script.name), f"http://127.0.0.1:{port}"],
            capture_output=True,
            text=True,
            check=True,
        )
    result = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return Load(**json.loads(result.removeprefix("RESULT ")))
