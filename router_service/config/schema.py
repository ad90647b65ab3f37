"""The JSON Schema of the file, for editors: the models that validate it, and the older keys that `migrate` accepts.

An editor must not mark a file red that `check` accepts, so keys of the older shape are there, marked as deprecated.
What only `check` can know (names that exist, one default, free ports) is not in it.
"""

from __future__ import annotations

import copy
from typing import get_args

from router_service.config.migrate import OLD_SOURCES
from router_service.config.models import Config, MetricsSource
from router_service.config.not_served import NOT_SERVED

JsonObject = dict[str, object]


def json_schema() -> JsonObject:
    """The schema, in JSON Schema's 2020-12 dialect."""
    schema = _without_titles(Config.model_json_schema())
    assert isinstance(schema, dict)
    definitions = _object(schema, "$defs")
    top = _object(schema, "properties")

    _allow_older_providers(definitions)
    _object(definitions, "Listener", "properties").update(
        {
            **_not_served("listeners"),
            "type": {
                "enum": ["model", "prompt", "agent"],
                "default": "model",
                "description": "Only `model` is served.",
            },
            "message_format": _old("string", "Clients speak the OpenAI API."),
        }
    )
    _object(definitions, "Routing", "properties").update(
        {
            **_not_served("routing"),
            "model": _old("string", "Write router."),
            "llm_provider": _old("string", "Write router."),
        }
    )
    kind = _object(definitions, "MetricsSource", "properties", "type")
    kind["enum"] = [*get_args(MetricsSource.model_fields["type"].annotation), *OLD_SOURCES]
    _object(top, "model_aliases")["additionalProperties"] = {
        "anyOf": [{"$ref": "#/$defs/ModelAlias"}, {"type": "string", "minLength": 1}]
    }
    listeners = _object(top, "listeners")
    top.update(
        {
            **_not_served(""),
            "version": {**_object(top, "version"), "type": ["string", "number"]},
            "listeners": {"description": listeners.pop("description"), "anyOf": [listeners, _OLD_LISTENERS]},
            "llm_providers": {**_object(top, "model_providers"), **_old("array", "Write model_providers.")},
            "overrides": {
                **_old("object", "Write router."),
                "properties": {**_not_served("overrides"), "llm_routing_model": _old("string", "Write router.")},
            },
        }
    )
    schema["properties"] = {name: _or_nothing(entry) for name, entry in top.items()}
    del schema["required"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Router Service configuration",
        **schema,
        "oneOf": [{"required": ["model_providers"]}, {"required": ["llm_providers"]}],
    }


def _allow_older_providers(definitions: JsonObject) -> None:
    inline = copy.deepcopy(_object(definitions, "RoutingPreference"))
    inline["required"] = ["name", "description"]  # the entry it stands in is its model
    definitions["InlinePreference"] = inline
    _object(definitions, "ModelProvider", "properties").update(
        {
            **_not_served("model_providers"),
            "routing_preferences": {
                **_old("array", "Write them at the top, with models."),
                "items": {"$ref": "#/$defs/InlinePreference"},
            },
            "usage": _old("string", "Write routing_preferences at the top, with models."),
            "provider": _old("string", "Write model: provider/id."),
            "endpoint": _old("string", "Write base_url."),
            "protocol": _old("string", "Write base_url."),
        }
    )


def _or_nothing(entry: object) -> object:
    """A section with every line below it commented out is a section of defaults."""
    assert isinstance(entry, dict)
    if "$ref" in entry:
        return {
            **{key: value for key, value in entry.items() if key != "$ref"},
            "anyOf": [{"$ref": entry["$ref"]}, _NULL],
        }
    if "anyOf" in entry:
        return {**entry, "anyOf": [*entry["anyOf"], _NULL]}
    kinds = entry.get("type", [])
    return {**entry, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]} if kinds else entry


_NULL: JsonObject = {"type": "null"}


def _old(kind: str, instead: str) -> JsonObject:
    return {"type": kind, "description": f"Older shape. {instead}", "deprecated": True}


def _not_served(section: str) -> JsonObject:
    return {
        key: {"description": f"Accepted, but not served: {happens}.", "deprecated": True}
        for key, happens in NOT_SERVED[section].items()
    }


_OLD_LISTENER: JsonObject = {
    "type": ["object", "null"],
    "properties": {
        "address": {"type": "string"},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "timeout": {"type": ["string", "number"]},
        "message_format": {"type": "string"},
    },
}
_OLD_LISTENERS: JsonObject = {
    **_old("object", "Write a list."),
    "properties": {"egress_traffic": _OLD_LISTENER, "ingress_traffic": _OLD_LISTENER},
    "additionalProperties": False,
}


def _object(parent: JsonObject, *path: str) -> JsonObject:
    for key in path:
        child = parent[key]
        assert isinstance(child, dict)
        parent = child
    return parent


def _without_titles(value: object) -> object:
    """Less the title that pydantic gives every key, which repeats the key."""
    if isinstance(value, dict):
        return {
            key: _without_titles(entry) for key, entry in value.items() if key != "title" or not isinstance(entry, str)
        }
    if isinstance(value, list):
        return [_without_titles(item) for item in value]
    return value
