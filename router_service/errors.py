"""Every error this service raises on purpose, in one tree.

    RouterError
    ├── ConfigError                 the configuration file is wrong; carries every problem found
    ├── SetupError                  something this machine lacks: an Envoy, a model file, a free port
    └── RequestError                the client's request is wrong; `status` goes on the wire
        ├── InvalidRequest          400 invalid_request       not JSON, wrong type, missing field
        ├── NoDefault               400 no_default            nothing says which model to use
        ├── UnsupportedApi          400 unsupported_api       no model of its pool takes requests of this API
        ├── UnknownPath             404 unknown_path          no such API here
        ├── MethodNotAllowed        405 method_not_allowed    the path exists, the method does not
        ├── UnknownModel            404 model_not_found       no provider has it
        ├── BodyTooLarge            413 body_too_large        over limits.max_body_bytes
        ├── UnsupportedEncoding     415 unsupported_encoding  not identity, gzip, br or zstd
        └── RouterUnavailable       503 router_unavailable    we failed; the client may retry

A `RequestError` knows three things beside its text: the HTTP `status`, the `code` its client's SDK shows, and `reason`,
the same fact as a metric label. `code` and `reason` differ only where an API prescribes its own word.

A classifier never raises: it answers a `Classification` with a reason (`routing.decision`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class RouterError(Exception):
    """Base of all errors raised on purpose; anything else that escapes is a defect."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration file.

    `line` counts from 1, 0 when the problem belongs to the whole file. `path` is dotted, with list positions in
    brackets: `routing_preferences[2].models[0]`. `severity` is "error", "warning" or "advice"; only errors stop a load.
    """

    path: str
    what: str
    todo: str
    line: int = 0
    severity: str = "error"


class ConfigError(RouterError):
    """A configuration that cannot be used, with all of its problems (`file:line: path: what is wrong; what to do`)."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(format_problem(file, problem) for problem in self.problems))


def format_problem(file: str, problem: Problem) -> str:
    """`config.yaml:12: model_aliases.fast: points to itself; name a model instead`, one line."""
    where = f"{file}:{problem.line}" if problem.line else file
    path = f" {problem.path}:" if problem.path else ""
    note = "" if problem.severity == "error" else f" {problem.severity}:"
    return f"{where}:{note}{path} {problem.what}; {problem.todo}"


class SetupError(RouterError):
    """This machine lacks something a command needs; the text says what and how to get it."""


class RequestError(RouterError):
    """A request that is answered here, never forwarded. `param` names the offending body field, if one does."""

    status = 400
    code = "invalid_request"
    reason = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class InvalidRequest(RequestError):
    pass


class NoDefault(RequestError):
    code = reason = "no_default"


class UnsupportedApi(RequestError):
    code = reason = "unsupported_api"


class UnknownPath(RequestError):
    status = 404
    code = reason = "unknown_path"


class MethodNotAllowed(RequestError):
    """`allow` is the method that the path takes, for the header of that name."""

    status = 405
    code = reason = "method_not_allowed"

    def __init__(self, message: str, *, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class UnknownModel(RequestError):
    status = 404
    code = "model_not_found"  # OpenAI's word: https://platform.openai.com/docs/guides/error-codes
    reason = "unknown_model"


class BodyTooLarge(RequestError):
    status = 413
    code = reason = "body_too_large"


class UnsupportedEncoding(RequestError):
    status = 415
    code = reason = "unsupported_encoding"


class RouterUnavailable(RequestError):
    status = 503
    code = reason = "router_unavailable"
