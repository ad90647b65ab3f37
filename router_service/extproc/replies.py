"""What this service answers to a client itself: errors and the list of models, in the client's own API shape.

Specs: https://platform.openai.com/docs/api-reference/models and the `error` object of every OpenAI endpoint;
https://docs.anthropic.com/en/api/models-list and https://docs.anthropic.com/en/api/errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from router_service.errors import RequestError, UnknownModel
from router_service.routing.api import Api
from router_service.routing.catalog import Catalog

OWNER = "router-service"  # `owned_by` of the names that are ours: aliases and auto

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Shape:
    """One API's way of saying things. `error` takes status, code, message and the offending field."""

    error: Callable[[int, str, str, str | None], Json]
    model: Callable[[str, str], Json]
    models: Callable[[list[Json]], Json]


def _openai_error(status: int, code: str, message: str, param: str | None) -> Json:
    """`type` is what its SDKs' users filter on, `code` the stable word."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _openai_model(name: str, owner: str) -> Json:
    # `created` is required by the shape; these names have no date, and replicas must answer alike.
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


def _openai_models(models: list[Json]) -> Json:
    return {"object": "list", "data": models}


# By status; other 4xx are invalid requests, other 5xx are `api_error`.
_ANTHROPIC_TYPES: Mapping[int, str] = MappingProxyType(
    {404: "not_found_error", 408: "timeout_error", 413: "request_too_large", 504: "timeout_error"}
)


def _anthropic_error(status: int, code: str, message: str, _: str | None) -> Json:
    """`details.error_code` is the stable word, which its SDK shows as `error_code`. There is no place for the field."""
    kind = _ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message, "details": {"error_code": code}}}


def _anthropic_model(name: str, _: str) -> Json:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "1970-01-01T00:00:00Z",  # "may be set to an epoch value if the release date is unknown"
        "lifecycle": "active",
    }


def _anthropic_models(models: list[Json]) -> Json:
    """One page, whatever is asked for: the list is short, and `has_more` says that there is no other."""
    ids = [model["id"] for model in models]
    return {"data": models, "has_more": False, "first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}


OPENAI = Shape(_openai_error, _openai_model, _openai_models)
ANTHROPIC = Shape(_anthropic_error, _anthropic_model, _anthropic_models)


def shape_for(path: str, anthropic_version: str = "") -> Shape:
    """Anthropic's for its API's own paths, and for whoever sends the header that all requests to it must have."""
    is_messages = path == Api.MESSAGES.path or path.startswith(f"{Api.MESSAGES.path}/")
    return ANTHROPIC if is_messages or anthropic_version else OPENAI


def error_body(error: RequestError, shape: Shape) -> bytes:
    """The body that tells a client what was wrong."""
    return error_object(shape, error.status, error.code, error.message, error.param)


def error_object(shape: Shape, status: int, code: str, message: str, param: str | None = None) -> bytes:
    return msgspec.json.encode(shape.error(status, code, message, param))


def models_body(catalog: Catalog, shape: Shape) -> bytes:
    """Everything a client may write in `model`, auto names first; a wildcard's members are not known here."""
    return msgspec.json.encode(shape.models([shape.model(*pair) for pair in _owners(catalog).items()]))


def model_body(catalog: Catalog, name: str, shape: Shape) -> bytes:
    """One entry of that list. Raises UnknownModel."""
    try:
        return msgspec.json.encode(shape.model(name, _owners(catalog)[name]))
    except KeyError:
        raise UnknownModel(f"The model '{name[:100]}' does not exist here.", param="model") from None


def _owners(catalog: Catalog) -> dict[str, str]:
    owners = dict.fromkeys([*sorted(catalog.auto_names), *catalog.alias_names], OWNER)
    for model in catalog.models:
        if model.listed and not model.is_wildcard:
            owners.setdefault(model.name, model.provider)
    return owners
