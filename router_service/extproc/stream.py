"""One ext_proc stream, which is one HTTP request, without sockets: events in, actions out.

Envoy sends the request headers, then the whole body (request_body_mode BUFFERED), and gets one reply to each:

    state       event                         action                           next
    HEADERS     headers, and a body to come   Continue                         BODY
    HEADERS     headers alone                 Answer                           DONE
    BODY        body                          Route | Answer                   DONE
    BODY        body, nothing named           Ask                              ASKING
    ASKING      (the classification)          Route | Answer                   DONE
    BODY        body, of a later attempt      Rewrite                          DONE
    any         a refusal on the way          Answer with the error            DONE

A later attempt is a request that was decided before: Envoy tries the next model of the pool, and wants that model's id
in the body (`HeadersReceived.attempt_model`).

`Route`, `Rewrite` and `Answer` are the last words: after each the stream may be closed, and Envoy carries on alone.
Whoever drives a `Stream` awaits what `Ask` asks for and feeds it back with `classified`; nothing here waits or fails.
Protocol: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_proc_filter
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import assert_never
from urllib.parse import unquote

import msgspec

from router_service.errors import (
    BodyTooLarge,
    InvalidRequest,
    MethodNotAllowed,
    RequestError,
    RouterUnavailable,
    UnknownPath,
    UnsupportedEncoding,
)
from router_service.extproc.replies import OPENAI, Shape, error_body, model_body, models_body, shape_for
from router_service.routing.api import Api
from router_service.routing.body import RequestBody, read_body
from router_service.routing.catalog import Catalog
from router_service.routing.conversation import Conversation
from router_service.routing.decide import Undecided, decide, settle
from router_service.routing.decision import Classification, Decision, Reason
from router_service.routing.formats.chat import read_chat_messages
from router_service.routing.formats.messages import read_anthropic_messages
from router_service.routing.formats.responses import read_input
from router_service.routing.ranking import Moment

# The request headers this service reads. Envoy is told to send no others (ext_proc `forward_rules`), least of all
# credentials.
READ_HEADERS = (":method", ":path", "anthropic-version", "content-encoding", "x-request-id")

# Of a later attempt: the id of the model that it goes to. Envoy sets it behind the point where it retries.
ATTEMPT_HEADER = "x-router-attempt-model"
ATTEMPT_HEADERS = (ATTEMPT_HEADER, ":path", "x-request-id")

# envoy.extensions.filters.http.ext_proc.v3.ProcessingMode.BodySendMode
BUFFERED = 2


@dataclass(frozen=True, slots=True)
class HeadersReceived:
    """`body_mode` is the filter's request_body_mode, None where Envoy did not say.

    `attempt_model` is the id of the model that a later attempt goes to; empty for a request that is to be decided.
    """

    method: str
    path: str
    anthropic_version: str = ""
    content_encoding: str = ""
    request_id: str = ""
    end_of_stream: bool = False
    body_mode: int | None = BUFFERED
    attempt_model: str = ""


@dataclass(frozen=True, slots=True)
class BodyReceived:
    body: bytes


class Phase(Enum):
    """Messages that we are not configured to get, and answer with a reply that changes nothing."""

    REQUEST_TRAILERS = "request_trailers"
    RESPONSE_HEADERS = "response_headers"
    RESPONSE_BODY = "response_body"
    RESPONSE_TRAILERS = "response_trailers"


@dataclass(frozen=True, slots=True)
class OtherReceived:
    phase: Phase


Event = HeadersReceived | BodyReceived | OtherReceived


@dataclass(frozen=True, slots=True)
class Continue:
    """Reply of the event's own kind that changes nothing."""

    phase: Phase | None = None  # None: the request headers


@dataclass(frozen=True, slots=True)
class Ask:
    """Classify this, then call `classified`."""

    conversation: Conversation


@dataclass(frozen=True, slots=True)
class Route:
    """Send the request where `decision` says, with `body` in place of the client's; None where it need not change."""

    decision: Decision
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Let the attempt go on where it is going, with `body` in place of its own; None where it need not change."""

    body: bytes | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the client from here. `error` is what was refused, None for an answer that is a success."""

    status: int
    body: bytes
    error: RequestError | None = None
    headers: tuple[tuple[str, str], ...] = ()


LastWord = Route | Rewrite | Answer
Action = Continue | Ask | LastWord


@dataclass(frozen=True, slots=True)
class Turns:
    """Where a request has its conversation, and what reads it."""

    field: str
    read: Callable[[msgspec.Raw], Conversation]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path of the client's API; without `api` it is answered here."""

    method: str
    api: Api | None = None
    turns: Turns | None = None


_MESSAGES = Endpoint("POST", Api.MESSAGES, Turns("messages", read_anthropic_messages))

ENDPOINTS = {
    Api.CHAT.path: Endpoint("POST", Api.CHAT, Turns("messages", read_chat_messages)),
    Api.COMPLETIONS.path: Endpoint("POST", Api.COMPLETIONS),
    Api.EMBEDDINGS.path: Endpoint("POST", Api.EMBEDDINGS),
    Api.MESSAGES.path: _MESSAGES,
    f"{Api.MESSAGES.path}/count_tokens": _MESSAGES,  # by the model that the request itself would go to
    Api.RESPONSES.path: Endpoint("POST", Api.RESPONSES, Turns("input", read_input, required=False)),
    "/v1/models": Endpoint("GET"),
}
ONE_MODEL = "/v1/models/"

_NOTHING = msgspec.Raw(b"null")


class State(Enum):
    HEADERS = auto()
    BODY = auto()
    ASKING = auto()
    DONE = auto()


@dataclass(slots=True)
class Stream:
    """The state of one request. Not reusable."""

    catalog: Catalog
    max_body_bytes: int
    moment: Moment = field(default_factory=Moment)
    state: State = State.HEADERS
    request_id: str = ""
    _attempt_model: str = ""
    _shape: Shape = OPENAI
    _endpoint: Endpoint | None = None
    _body: RequestBody | None = None
    _undecided: Undecided = field(default_factory=Undecided)

    @property
    def is_done(self) -> bool:
        """Whether the last word has been said."""
        return self.state is State.DONE

    def receive(self, event: Event) -> Action:
        """The action that answers one message from Envoy."""
        try:
            match event:
                case HeadersReceived() if self.state is State.HEADERS:
                    return self._read_headers(event)
                case BodyReceived(body) if self.state is State.BODY:
                    return self._read_body(body)
                case OtherReceived(phase):
                    return Continue(phase)
                case HeadersReceived() | BodyReceived():
                    raise RouterUnavailable("Envoy sent the parts of the request out of turn.")
                case _:
                    assert_never(event)
        except RequestError as error:
            return self.refuse(error)

    def classified(self, classification: Classification) -> Route | Answer:
        """The action that ends the wait begun by `Ask`."""
        assert self.state is State.ASKING
        try:
            return self._settle(classification)
        except RequestError as error:
            return self.refuse(error)

    def refuse(self, error: RequestError) -> Answer:
        """The answer that tells the client what was wrong with its request, or with us."""
        headers = (("allow", error.allow),) if isinstance(error, MethodNotAllowed) else ()
        return self._answer(Answer(error.status, error_body(error, self._shape), error, headers))

    def _read_headers(self, headers: HeadersReceived) -> Continue | Answer:
        self.request_id = headers.request_id
        self._attempt_model = headers.attempt_model
        path = headers.path.partition("?")[0]
        self._shape = shape_for(path, headers.anthropic_version)
        if headers.attempt_model:
            return self._expect_body(headers)
        endpoint = ENDPOINTS["/v1/models"] if path.startswith(ONE_MODEL) else ENDPOINTS.get(path)
        if endpoint is None:
            raise UnknownPath(f"There is no {path[:200]} here. Known paths: {', '.join(ENDPOINTS)}.")
        if headers.method != endpoint.method:
            raise MethodNotAllowed(
                f"{path[:200]} takes {endpoint.method}, not {headers.method[:20]}.", allow=endpoint.method
            )
        if endpoint.method == "GET":
            # SDKs send the slash of `provider/id` as %2F.
            name = unquote(path.removeprefix(ONE_MODEL)) if path.startswith(ONE_MODEL) else None
            shape = self._shape
            shown = models_body(self.catalog, shape) if name is None else model_body(self.catalog, name, shape)
            return self._answer(Answer(200, shown))
        if headers.content_encoding.lower() not in ("", "identity"):
            raise UnsupportedEncoding(
                f"content-encoding '{headers.content_encoding[:40]}' is not supported; send gzip, br, zstd or identity."
            )
        self._endpoint = endpoint
        return self._expect_body(headers)

    def _expect_body(self, headers: HeadersReceived) -> Continue:
        if headers.body_mode not in (None, BUFFERED):
            raise RouterUnavailable("Envoy's ext_proc filter must be configured with request_body_mode BUFFERED.")
        if headers.end_of_stream:
            raise InvalidRequest("The request has no body; send a JSON object.")
        self.state = State.BODY
        return Continue()

    def _read_body(self, raw: bytes) -> Ask | LastWord:
        if self._attempt_model:
            return self._rewrite(raw)
        endpoint = self._endpoint
        assert endpoint is not None
        assert endpoint.api is not None
        if len(raw) > self.max_body_bytes:
            raise BodyTooLarge(f"The body has {len(raw)} bytes; at most {self.max_body_bytes} are accepted.")
        self._body = body = read_body(raw)
        turns = endpoint.turns
        if turns is not None and turns.required and turns.field not in body.members:
            raise InvalidRequest(f"Missing required field '{turns.field}'.", param=turns.field)
        decision = decide(self.catalog, body.model, endpoint.api, self.moment)
        if isinstance(decision, Decision):
            return self._route(decision)
        self._undecided = decision
        if not self.catalog.preferences:
            return self._settle(Classification(Reason.NO_PREFERENCES))
        assert turns is not None  # else it was decided by name
        conversation = turns.read(body.members.get(turns.field, _NOTHING))
        if not conversation.has_user_text:
            return self._settle(Classification(Reason.NO_TEXT))
        self.state = State.ASKING
        return Ask(conversation)

    def _rewrite(self, raw: bytes) -> Rewrite:
        """Its size was checked when it was decided on; what grew since is the id."""
        body = read_body(raw)
        self.state = State.DONE
        return Rewrite(None if body.model == self._attempt_model else body.with_model(self._attempt_model))

    def _settle(self, classification: Classification) -> Route:
        return self._route(settle(self.catalog, self._undecided, classification))

    def _route(self, decision: Decision) -> Route:
        assert self._body is not None
        self.state = State.DONE
        model_id = decision.target.model_id
        return Route(decision, None if self._body.model == model_id else self._body.with_model(model_id))

    def _answer(self, answer: Answer) -> Answer:
        self.state = State.DONE
        return answer
