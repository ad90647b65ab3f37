"""What this service answers to a client itself: errors and the list of models, in the client's own API shape.

Shapes: https://platform.openai.com/docs/api-reference/models and the `error` object of every OpenAI endpoint.
"""

from __future__ import annotations

import msgspec

from router_service.errors import RequestError, UnknownModel
from router_service.routing.catalog import Catalog

OWNER = "router-service"  # `owned_by` of the names that are ours: aliases and auto


def error_body(error: RequestError) -> bytes:
    """The body that tells a client what was wrong."""
    return error_object(error.status, error.code, error.message, error.param)


def error_object(status: int, code: str, message: str, param: str | None = None) -> bytes:
    """OpenAI's error object; `type` is what its SDKs' users filter on, `code` the stable word."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def models_body(catalog: Catalog) -> bytes:
    """Everything a client may write in `model`, auto names first; a wildcard's members are not known here."""
    return msgspec.json.encode({"object": "list", "data": list(_listed(catalog).values())})


def model_body(catalog: Catalog, name: str) -> bytes:
    """One entry of that list. Raises UnknownModel."""
    try:
        return msgspec.json.encode(_listed(catalog)[name])
    except KeyError:
        raise UnknownModel(f"The model '{name[:100]}' does not exist here.", param="model") from None


def _listed(catalog: Catalog) -> dict[str, dict[str, object]]:
    owners = dict.fromkeys([*sorted(catalog.auto_names), *catalog.alias_names], OWNER)
    for model in catalog.models:
        if model.listed and not model.is_wildcard:
            owners.setdefault(model.name, model.provider)
    # `created` is required by the shape; these names have no date, and replicas must answer alike.
    return {name: {"id": name, "object": "model", "created": 0, "owned_by": owner} for name, owner in owners.items()}
