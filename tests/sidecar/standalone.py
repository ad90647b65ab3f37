"""The standalone overlay as a user would have it: with a configuration and a key of their own; here, demo providers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.deploy import overlays
from tests.deploy.manifests import pods
from tests.sidecar.containers import Container, Image
from tests.sidecar.kubernetes import RunningPod

KEY = "sk-of-the-secret"

CONFIG = """
service:
  listen: unix:/run/router-service/router.sock
model_providers:
  - {model: demo/general, base_url: "http://127.0.0.1:8081", access_key: $OPENAI_API_KEY, default: true}
  - {model: demo/coder, base_url: "http://127.0.0.1:8082"}
model_aliases:
  fast: {target: demo/general}
routing_preferences:
  - name: code generation
    description: generating new code snippets, functions, or boilerplate based on user prompts
    models: [demo/coder]
"""


def chat(**body: object) -> tuple[dict[str, str], dict[str, object]]:
    """The answer's headers and body. AssertionError, with what was answered, for an error."""
    request = Request(
        "http://127.0.0.1:10000/v1/chat/completions",
        json.dumps({"messages": [{"role": "user", "content": "hello"}], **body}).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urlopen(request, timeout=20) as response:  # noqa: S310 - always http
            return {name.lower(): value for name, value in response.headers.items()}, json.loads(response.read())
    except HTTPError as error:
        raise AssertionError(f"{error.code}: {error.read().decode()}") from error


@contextmanager
def running_standalone(directory: Path, images: Mapping[str, Image]) -> Iterator[RunningPod]:
    """Running, with a configuration and a key of our own in the overlay, and two demo providers beside it."""
    directory.chmod(0o755)
    overlays.copy(directory / "kubernetes")
    standalone = directory / "kubernetes" / "overlays" / "standalone"
    (standalone / "config.yaml").write_text(CONFIG)
    (standalone / "keys.env").write_text(f"OPENAI_API_KEY={KEY}\n")
    resources = overlays.build_directory(standalone)
    providers = [
        Container(
            f"provider-{port}",
            images["router-service"],
            ("demo-provider", f"--name={name}", f"--port={port}"),
            env={},
            volumes=(),
            uid=65532,
            gid=65532,
            read_only_root=True,
        ).start(directory)
        for name, port in (("general", 8081), ("coder", 8082))
    ]
    running = RunningPod(next(pods(resources)), resources, images, directory)
    try:
        running.start()
        yield running
    finally:
        for process in (*running.processes.values(), *providers):
            process.kill()
