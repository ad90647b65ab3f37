"""Starting and killing a real vLLM on the CPU, from the environment that `make test-vllm` builds."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

PYTHON = Path(__file__).parents[2] / ".venv-vllm" / "bin" / "python"
_LONGEST_START_S = 300.0  # half a minute on an idle machine; CI's are not idle
_POLL_S = 0.25


class VllmServer:
    """`python -m vllm.entrypoints.openai.api_server` on a port of its own; its output goes to `log`."""

    def __init__(self, model: Path, *, log: Path, arguments: Sequence[str] = ()) -> None:
        self._model = model
        self._log = log
        self._arguments = tuple(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it answers. RuntimeError, with the end of its output, if it does not come up."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(PYTHON), "-m", "vllm.entrypoints.openai.api_server"),
                    *("--model", str(self._model), "--served-model-name", "Arch-Router"),
                    *("--host", "127.0.0.1", "--port", str(self.port)),
                    *("--enforce-eager", "--enable-prefix-caching", *self._arguments),
                ],
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "HF_HUB_OFFLINE": "1",
                    "VLLM_CPU_KVCACHE_SPACE": "1",
                    "VLLM_NO_USAGE_STATS": "1",
                    "VLLM_DO_NOT_TRACK": "1",
                },
                start_new_session=True,  # its engine is a process of its own, and goes with the group
            )
        try:
            self._wait(self._process)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """At once and with its engine, as a node that dies."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's series that carry these labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as response:  # noqa: S310  (our own server)
            lines = response.read().decode().splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        series = (line for line in lines if line.startswith((f"{name}{{", f"{name} ")))
        return sum(float(line.rsplit(" ", 1)[1]) for line in series if all(label in line for label in wanted))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Ask the server again and again until this holds: it has no event for us. TimeoutError after a minute."""
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(holds):
                pass

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline_s = time.monotonic() + _LONGEST_START_S
        while not self._is_up():
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"vLLM did not start:\n{self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(_POLL_S)

    def _is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as response:  # noqa: S310
                return bool(response.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
