"""What the demo provider says, in the shapes of the APIs it stands in for.

Owns the shapes of answers, whole and streamed; the text tells which provider, model, path and masked key arrived. Pure:
the clock and ids are arguments. A "token" here is a word, counted honestly.

Sources: OpenAI's Chat Completions, Completions, Embeddings and Responses, https://platform.openai.com/docs/api-reference;
Anthropic's Messages, https://docs.anthropic.com/en/api/messages and …/messages-streaming.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

Json = dict[str, object]

DEFAULT_DIMENSIONS = 8  # of an embedding; enough to look at


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it reached the provider. `keys` maps the header to the masked key in it."""

    provider: str
    path: str
    body: Mapping[str, object]
    keys: Mapping[str, str]

    @property
    def model(self) -> str:
        return str(self.body.get("model", "(none)"))

    @property
    def streams(self) -> bool:
        return self.body.get("stream") is True

    @property
    def wants_usage(self) -> bool:
        """OpenAI's `stream_options.include_usage`: a last chunk with the usage and no choices."""
        options = self.body.get("stream_options")
        return isinstance(options, Mapping) and options.get("include_usage") is True


@dataclass(frozen=True, slots=True)
class Reply:
    """What every shape is made from. `created` is in Unix seconds."""

    asked: Asked
    id: str
    created: int

    @property
    def text(self) -> str:
        keys = ", ".join(f"key {masked} ({header})" for header, masked in self.asked.keys.items()) or "no key"
        return f'demo provider "{self.asked.provider}" · model {self.asked.model} · path {self.asked.path} · {keys}'

    @property
    def words(self) -> list[str]:
        """The text in the pieces in which it is streamed, each with the space behind it."""
        return re.findall(r"\S+\s*", self.text)

    @property
    def prompt_tokens(self) -> int:
        asked = (self.asked.body.get(field) for field in ("system", "instructions", "messages", "prompt", "input"))
        return sum(_count_words(value) for value in asked)

    @property
    def completion_tokens(self) -> int:
        return len(self.words)


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `name` where the API names its events."""

    payload: Json | str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """One endpoint: its answer whole, and as events where the API streams."""

    whole: Callable[[Reply], Json]
    events: Callable[[Reply], Iterator[Event]] | None = None


def mask(key: str) -> str:
    """Enough of a key to recognise it, never enough to use it: `sk-a…3f`, and nothing of a short one."""
    return f"{key[:4]}…{key[-2:]}" if len(key) >= 12 else "…"


def _count_words(value: object) -> int:
    """Words of all text in a prompt, whatever its nesting; the words of keys such as `role` do not count."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, Mapping):
        return sum(_count_words(value.get(field)) for field in ("content", "text"))
    if isinstance(value, Sequence):
        return sum(_count_words(item) for item in value)
    return 0


# Chat Completions


def _chat(reply: Reply) -> Json:
    message = {"role": "assistant", "content": reply.text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _openai(reply, "chat.completion") | {"choices": [choice], "usage": _openai_usage(reply)}


def _chat_events(reply: Reply) -> Iterator[Event]:
    def chunk(delta: Json, finish_reason: str | None = None) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return Event(_openai(reply, "chat.completion.chunk") | {"choices": [choice]} | usage)

    usage: Json = {"usage": None} if reply.asked.wants_usage else {}
    yield chunk({"role": "assistant", "content": ""})
    for word in reply.words:
        yield chunk({"content": word})
    yield chunk({}, "stop")
    if reply.asked.wants_usage:
        yield Event(_openai(reply, "chat.completion.chunk") | {"choices": [], "usage": _openai_usage(reply)})
    yield Event("[DONE]")


# Completions


def _completion(reply: Reply) -> Json:
    choice = {"index": 0, "text": reply.text, "logprobs": None, "finish_reason": "stop"}
    return _openai(reply, "text_completion") | {"choices": [choice], "usage": _openai_usage(reply)}


def _completion_events(reply: Reply) -> Iterator[Event]:
    last = len(reply.words) - 1
    for index, word in enumerate(reply.words):
        finish_reason = "stop" if index == last else None
        choice = {"index": 0, "text": word, "logprobs": None, "finish_reason": finish_reason}
        yield Event(_openai(reply, "text_completion") | {"choices": [choice]})
    if reply.asked.wants_usage:
        yield Event(_openai(reply, "text_completion") | {"choices": [], "usage": _openai_usage(reply)})
    yield Event("[DONE]")


def _openai(reply: Reply, kind: str) -> Json:
    return {"id": reply.id, "object": kind, "created": reply.created, "model": reply.asked.model}


def _openai_usage(reply: Reply) -> Json:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }


# Embeddings


def _embeddings(reply: Reply) -> Json:
    body = reply.asked.body
    asked = body.get("input")
    dimensions = body.get("dimensions")
    size = dimensions if isinstance(dimensions, int) and 0 < dimensions <= 4096 else DEFAULT_DIMENSIONS
    many = isinstance(asked, Sequence) and not isinstance(asked, str) and asked and not isinstance(asked[0], int)
    inputs = list(asked) if many and isinstance(asked, Sequence) else [asked]
    vectors = [_embedding(text, size) for text in inputs]
    as_base64 = body.get("encoding_format") == "base64"
    return {
        "object": "list",
        "model": reply.asked.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _base64_floats(vector) if as_base64 else vector}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": reply.prompt_tokens, "total_tokens": reply.prompt_tokens},
    }


def _embedding(text: object, size: int) -> list[float]:
    """Numbers in [-1, 1] that only depend on the text; they mean nothing."""
    digest = hashlib.shake_128(str(text).encode()).digest(size)
    return [byte / 127.5 - 1 for byte in digest]


def _base64_floats(vector: list[float]) -> str:
    """The API's compact form, which its SDK asks for: little-endian float32."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


# Anthropic Messages


def _messages(reply: Reply) -> Json:
    return _message(reply) | {
        "content": [{"type": "text", "text": reply.text}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": reply.prompt_tokens, "output_tokens": reply.completion_tokens},
    }


def _message_tokens(reply: Reply) -> Json:
    return {"input_tokens": reply.prompt_tokens}


def _message(reply: Reply) -> Json:
    return {
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "model": reply.asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": reply.prompt_tokens, "output_tokens": 0},
    }


def _messages_events(reply: Reply) -> Iterator[Event]:
    def event(kind: str, **fields: object) -> Event:
        return Event({"type": kind, **fields}, kind)

    yield event("message_start", message=_message(reply))
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in reply.words:
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    yield event(
        "message_delta",
        delta={"stop_reason": "end_turn", "stop_sequence": None},
        usage={"output_tokens": reply.completion_tokens},
    )
    yield event("message_stop")


# OpenAI Responses


def _response(reply: Reply, *, done: bool = True) -> Json:
    usage = {
        "input_tokens": reply.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }
    return {
        "id": reply.id,
        "object": "response",
        "created_at": reply.created,
        "model": reply.asked.model,
        "status": "completed" if done else "in_progress",
        "output": [_output_item(reply)] if done else [],
        "usage": usage if done else None,
        "error": None,
        "incomplete_details": None,
        "instructions": reply.asked.body.get("instructions"),
        "metadata": {},
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


def _output_item(reply: Reply, *, done: bool = True) -> Json:
    return {
        "id": f"msg-{reply.id}",
        "type": "message",
        "role": "assistant",
        "status": "completed" if done else "in_progress",
        "content": [_output_text(reply.text)] if done else [],
    }


def _output_text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def _response_events(reply: Reply) -> Iterator[Event]:
    number = -1

    def event(kind: str, **fields: object) -> Event:
        nonlocal number
        number += 1
        return Event({"type": kind, "sequence_number": number, **fields}, kind)

    item: Json = {"output_index": 0}
    part: Json = {"item_id": f"msg-{reply.id}", "output_index": 0, "content_index": 0}
    yield event("response.created", response=_response(reply, done=False))
    yield event("response.in_progress", response=_response(reply, done=False))
    yield event("response.output_item.added", **item, item=_output_item(reply, done=False))
    yield event("response.content_part.added", **part, part=_output_text(""))
    for word in reply.words:
        yield event("response.output_text.delta", **part, delta=word, logprobs=[])
    yield event("response.output_text.done", **part, text=reply.text, logprobs=[])
    yield event("response.content_part.done", **part, part=_output_text(reply.text))
    yield event("response.output_item.done", **item, item=_output_item(reply))
    yield event("response.completed", response=_response(reply))


# By the end of the path: every provider has its own prefix before it. The longest end wins.
APIS: Mapping[str, Api] = MappingProxyType(
    {
        "/chat/completions": Api(_chat, _chat_events),
        "/completions": Api(_completion, _completion_events),
        "/embeddings": Api(_embeddings),
        "/messages": Api(_messages, _messages_events),
        "/messages/count_tokens": Api(_message_tokens),
        "/responses": Api(_response, _response_events),
    }
)


def find_api(path: str) -> Api | None:
    """The API that a path ends in; None for anything else."""
    return next((api for end, api in APIS.items() if path.endswith(end)), None)


def models(provider: str, created: int) -> Json:
    """`GET …/models`: one model, which is whatever it is asked for."""
    model = {"id": "demo", "object": "model", "created": created, "owned_by": f"demo provider {provider}"}
    return {"object": "list", "data": [model]}


def error(message: str) -> Json:
    """OpenAI's error shape."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
