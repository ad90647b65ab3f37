"""One vLLM for all tests of this directory: it takes most of a minute to start."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from router_service.classify.model_server import Address, ModelServer
from tests.vllm.model_files import make_tiny_model
from tests.vllm.routes import CORPUS
from tests.vllm.server import PYTHON, VllmServer

# What a prompt of the default budget may need if every byte of it is a token, halved once.
MAX_MODEL_TOKENS = 20_000


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    if not PYTHON.exists():
        pytest.skip("there is no .venv-vllm: `make test-vllm` builds it (3.4 GB) and runs these tests")
    directory: Path = tmp_path_factory.mktemp("vllm")
    make_tiny_model(directory / "model", CORPUS)
    server = VllmServer(
        directory / "model",
        log=directory / "vllm.log",
        arguments=["--dtype", "float32", "--max-model-len", str(MAX_MODEL_TOKENS), "--max-num-seqs", "64"],
    )
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def model_server(vllm: VllmServer) -> AsyncIterator[ModelServer]:
    async with aiohttp.ClientSession() as session:
        yield ModelServer(session, Address(URL(vllm.url), "127.0.0.1"))
