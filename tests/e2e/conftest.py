"""One gateway for the session: the installed command, `router-service up`, with two local providers behind it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.openai_provider import OpenAIProvider
from tests.support.processes import Child

COMMAND = Path(sys.executable).with_name("router-service")

CONFIG = """
version: v0.4.0
listeners: [{{name: egress, type: model, address: 127.0.0.1, port: 10000}}]
model_providers:
  - {{model: alpha/small, base_url: '{alpha}', access_key: $ALPHA_KEY, default: true}}
  - {{model: alpha/writer, base_url: '{alpha}', access_key: $ALPHA_KEY}}
  - {{model: beta/coder, base_url: '{beta}', passthrough_auth: true}}
model_aliases:
  fast: {{target: small}}
routing_preferences:
  - name: code generation
    description: generating new code snippets, functions, or boilerplate based on user prompts
    examples: [write a function that reads a file, implement this class in Java]
    models: [beta/coder]
  - name: creative writing
    description: creative content generation, storytelling, poems, and writing assistance
    models: [alpha/writer]
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where clients go, and the providers behind it."""

    url: str
    alpha: OpenAIProvider
    beta: OpenAIProvider


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config = tmp_path_factory.mktemp("gateway") / "config.yaml"
    with OpenAIProvider() as alpha, OpenAIProvider() as beta:
        config.write_text(CONFIG.format(alpha=alpha.base_url, beta=beta.base_url))
        up = Child([COMMAND, "up", config, "--port", "0"], env={**os.environ, "ALPHA_KEY": "sk-alpha"})
        try:
            line = up.stdout.wait_for(lambda line: line.strip().startswith("requests"))
            url = re.search(r"http\S+", line)
            assert url is not None
            yield Gateway(url[0], alpha, beta)
        finally:
            assert up.stop() == 0, "".join(up.stderr.seen)
