"""One address of a model server: a question out, typed JSON back, and every way that can fail, named once.

Owns HTTP and the mapping of aiohttp's exceptions; knows nothing of routes or prompts. Server messages are read (to tell
a prompt that is too long) but never passed on: they may quote the prompt.
Formats: OpenAI's chat completions and models, vLLM's /tokenize and /version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

import aiohttp
import msgspec
from yarl import URL

from router_service.routing.decision import Reason

# An answer is a few hundred bytes, with 20 log probabilities for each token some ten thousand.
_MAX_RESPONSE_BYTES = 2**20
_TOO_LONG = re.compile(rb"context|too long", re.IGNORECASE)


class Failure(Enum):
    """What went wrong between us and the server."""

    UNREACHABLE = auto()  # no connection
    LOST = auto()  # the connection ended before the answer did
    STATUS = auto()  # an HTTP status that another question might also get: 5xx, 429, 401, 404
    REJECTED = auto()  # the server found this question wrong: 400, 413, 422
    TOO_LONG = auto()  # rejected, because the prompt is longer than the server's context
    UNREADABLE = auto()  # not JSON, not the documented shape, or without end


# A question that is wrong says nothing about the server's health, and another server would find it wrong too.
_OWN_FAULT = frozenset({Failure.REJECTED, Failure.TOO_LONG})


class ServerFailed(Exception):
    """The server did not answer. `str()` is safe for a log: it holds a status or an error's name, never its text."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure

    @property
    def reason(self) -> Reason:
        return Reason.MALFORMED if self.failure is Failure.UNREADABLE else Reason.CLASSIFIER_ERROR

    @property
    def is_servers_fault(self) -> bool:
        return self.failure not in _OWN_FAULT


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: `connect` holds the IP address, `host` what the URL named, for Host and TLS."""

    connect: URL
    host: str

    def __str__(self) -> str:
        return str(self.connect.origin())


class Message(msgspec.Struct):
    content: str | None = None


class TopLogprob(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(msgspec.Struct):
    token: str
    top_logprobs: list[TopLogprob] = []
    bytes: list[int] | None = None


class Logprobs(msgspec.Struct):
    content: list[TokenLogprob] | None = None


class Choice(msgspec.Struct):
    message: Message
    logprobs: Logprobs | None = None


class Usage(msgspec.Struct):
    completion_tokens: int = 0


class Completion(msgspec.Struct):
    """https://platform.openai.com/docs/api-reference/chat/object, as far as it is read."""

    choices: list[Choice]
    usage: Usage | None = None


class ServedModel(msgspec.Struct, frozen=True):
    id: str
    root: str | None = None  # vLLM's: where its weights came from
    max_model_len: int | None = None  # vLLM's


class ServedModels(msgspec.Struct):
    data: list[ServedModel]


class Tokens(msgspec.Struct):
    tokens: list[int]
    token_strs: list[str] | None = None


class Version(msgspec.Struct):
    version: str


_Answer = TypeVar("_Answer", Completion, ServedModels, Tokens, Version)


class ModelServer:
    """Raises ServerFailed from every coroutine. Bounds of time are the caller's."""

    def __init__(self, session: aiohttp.ClientSession, address: Address, *, access_key: str | None = None) -> None:
        self.address = address
        self._session = session
        self._headers = {"content-type": "application/json", "host": address.connect.with_host(address.host).authority}
        if access_key is not None:
            self._headers["authorization"] = f"Bearer {access_key}"
        path = address.connect.path.rstrip("/")
        self._api = path or "/v1"  # a path in the URL replaces the API prefix, as with providers
        self._root = path.removesuffix("/v1")

    async def complete(self, question: Mapping[str, object]) -> Completion:
        return await self._exchange("POST", f"{self._api}/chat/completions", question, Completion)

    async def served_models(self) -> list[ServedModel]:
        return (await self._exchange("GET", f"{self._api}/models", None, ServedModels)).data

    async def tokenize(self, model: str, text: str) -> Tokens:
        question = {"model": model, "prompt": text, "add_special_tokens": False, "return_token_strs": True}
        return await self._exchange("POST", f"{self._root}/tokenize", question, Tokens)

    async def version(self) -> str:
        return (await self._exchange("GET", f"{self._root}/version", None, Version)).version

    async def _exchange(
        self, method: str, path: str, question: Mapping[str, object] | None, answer: type[_Answer]
    ) -> _Answer:
        try:
            async with self._session.request(
                method,
                self.address.connect.with_path(path),
                data=None if question is None else msgspec.json.encode(question),
                headers=self._headers,
                server_hostname=self.address.host if self.address.connect.scheme == "https" else None,
                allow_redirects=False,
            ) as response:
                body = await _read(response)
                status = response.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ServerFailed(Failure.UNREACHABLE, f"no connection ({type(error).__name__})") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ServerFailed(
                Failure.LOST, f"the connection ended without an answer ({type(error).__name__})"
            ) from error
        if status != 200:
            raise ServerFailed(_rejection(status, body), f"HTTP {status}")
        try:
            return msgspec.json.decode(body, type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ServerFailed(Failure.UNREADABLE, f"an answer that cannot be read ({type(error).__name__})") from error


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_RESPONSE_BYTES:
            raise ServerFailed(Failure.UNREADABLE, f"an answer of more than {_MAX_RESPONSE_BYTES} bytes")
    return bytes(body)


def _rejection(status: int, body: bytes) -> Failure:
    if status not in (400, 413, 422):
        return Failure.STATUS
    return Failure.TOO_LONG if status == 413 or _TOO_LONG.search(body) else Failure.REJECTED
