"""Older shapes of the file, and files written for Plano (formerly archgw), brought to the newest shape.

Works on positioned trees before validation, so that later problems still name the line and the key that the user
wrote. Owns every rule about other shapes; knows no types: a value it does not understand goes on as it is, and
validation says what is wrong with it. What has no meaning here is left out with a warning that says what does not
happen, because a guard or a limit that silently does nothing is worse than an error.

    version v0.1 … v0.3.0, or none             v0.4.0
    listeners: {egress_traffic: {…}}           listeners: [{name: egress_traffic, …}]
    llm_providers                              model_providers
    model: id + provider_interface: P          model: P/id
    endpoint: host:port + protocol             base_url: protocol://host:port
    routing_preferences, usage in a provider   routing_preferences at the top, with `models`
    overrides.llm_routing_model: plano/NAME    router: {backend: vllm, url: its base_url, model: NAME}
    metrics source, type: prometheus_metrics   type: latency, provider: prometheus
    metrics source, type: digitalocean_pricing type: cost, provider: digitalocean
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from router_service.config.document import Node
from router_service.config.not_served import NOT_SERVED
from router_service.errors import Problem

NEWEST = "v0.4.0"
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:-[a-z]+)?")

_OWN_PROVIDERS = frozenset({"arch", "plano"})  # that product's own routing and orchestration models
_OWN_ROUTING_MODELS = ("Plano-Orchestrator", "Arch-Router")  # what it asks where the file names none
OLD_SOURCES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "prometheus_metrics": {"type": "latency", "provider": "prometheus"},
        "digitalocean_pricing": {"type": "cost", "provider": "digitalocean"},
    }
)
_OLD_INTERFACES: Mapping[str, str] = MappingProxyType({"claude": "anthropic"})


def migrate(root: Node) -> tuple[Node, list[Problem]]:
    """The file in the newest shape, and what was wrong or left out on the way."""
    file = _File(dict(root.entries))
    file.version()
    file.rename_providers()
    endpoints = file.sections.get("endpoints")
    file.leave_out_sections()
    file.listeners()
    routing_models = file.providers(endpoints)
    file.router(routing_models)
    file.metrics_sources()
    return replace(root, value=file.sections), file.problems


@dataclass(frozen=True, slots=True)
class _RoutingModel:
    """An entry of that product's own provider: a routing model, not one that clients are served by."""

    entry: Node
    name: str | None
    id: str
    base_url: Node | None

    def is_called(self, name: str) -> bool:
        return name in (self.name, self.id) or name.partition("/")[2] == self.id


@dataclass(slots=True)
class _File:
    """The sections on their way to the newest shape."""

    sections: dict[str, Node]
    problems: list[Problem] = field(default_factory=list)

    def version(self) -> None:
        node = self.sections.get("version")
        if node is None or node.value is None:
            self.sections.pop("version", None)
            return
        match = _VERSION.fullmatch(str(node.value).strip())
        if match is None:
            self.error(node, "is not a version of this file's shape", f"write {NEWEST}")
        elif tuple(int(part or 0) for part in match.groups()) > (0, 4, 0):
            self.warn(node, f"is newer than {NEWEST}, as which it is read", "update this service")
        self.sections["version"] = replace(node, value=NEWEST)

    def rename_providers(self) -> None:
        old = self.sections.pop("llm_providers", None)
        if old is None:
            return
        new = self.sections.get("model_providers")
        if new is None:
            self.sections["model_providers"] = old
        else:
            self.error(
                old,
                f"is the older name of model_providers, which is in line {new.line}",
                "move these entries there",
            )

    def leave_out_sections(self) -> None:
        self.sections = self._without(self.sections, "")

    def listeners(self) -> None:
        node = self.sections.get("listeners")
        if node is None:
            return
        items = self._directions(node) if isinstance(node.value, Mapping) else node.items
        served = tuple(self._listener(item) for item in items if self._is_served(item))
        if served:
            self.sections["listeners"] = replace(node, value=served)
        elif items:
            del self.sections["listeners"]
            self.warn(node, "has no listener for models, which are served on 0.0.0.0:10000", "add one of type: model")
        elif isinstance(node.value, Mapping):
            del self.sections["listeners"]

    def _directions(self, node: Node) -> tuple[Node, ...]:
        """The entries of the older mapping as those of a list."""
        items = []
        for name, entry in node.entries.items():
            if name not in _DIRECTIONS:
                self.error(entry, "is neither egress_traffic nor ingress_traffic", "write listeners as a list")
            elif isinstance(entry.value, Mapping):
                fixed = {"name": replace(entry, value=name), "type": replace(entry, value=_DIRECTIONS[name])}
                items.append(replace(entry, value={**fixed, **entry.entries}))
            elif entry.value is not None:
                items.append(entry)
        return tuple(items)

    def _is_served(self, item: Node) -> bool:
        kind = item.entries.get("type")
        if kind is None or kind.value not in ("prompt", "agent"):
            return True
        self.warn(
            item,
            f"is a listener for {'functions' if kind.value == 'prompt' else 'agents'}, which are not served here",
            "remove it",
        )
        return False

    def _listener(self, item: Node) -> Node:
        if not isinstance(item.value, Mapping):
            return item
        entries = self._without(item.entries, "listeners")
        message_format = entries.pop("message_format", None)
        if message_format is not None and message_format.value != "openai":
            self.warn(message_format, "is not served here: clients speak the OpenAI API", "remove it")
        return replace(item, value=entries)

    def providers(self, endpoints: Node | None) -> list[_RoutingModel]:
        """Brings every entry to its newest form; takes out, and returns, those of the other product's own models."""
        node = self.sections.get("model_providers")
        if node is None or not isinstance(node.value, tuple):
            return []
        served: list[Node] = []
        routing_models: list[_RoutingModel] = []
        preferences = _Preferences(self)
        for item in node.items:
            if not isinstance(item.value, Mapping):
                served.append(item)
                continue
            entry = self._provider(item, endpoints)
            model = entry.entries.get("model")
            provider, _, model_id = (model.text or "").partition("/") if model is not None else ("", "", "")
            if provider in _OWN_PROVIDERS:
                name = entry.entries.get("name")
                routing_models.append(
                    _RoutingModel(entry, name.text if name else None, model_id, entry.entries.get("base_url"))
                )
                continue
            served.append(preferences.lift(entry))
        self.sections["model_providers"] = replace(node, value=tuple(served))
        preferences.merge_into(self.sections)
        return routing_models

    def _provider(self, item: Node, endpoints: Node | None) -> Node:
        entries = self._without(item.entries, "model_providers")
        interface = entries.pop("provider", None) or entries.get("provider_interface")
        model = entries.get("model")
        if interface is not None and interface.text is not None and model is not None and model.text is not None:
            known_as = _OLD_INTERFACES.get(interface.text, interface.text)
            if "/" not in model.text or known_as in _OWN_PROVIDERS:
                entries["model"] = replace(model, value=f"{known_as}/{model.text}")
                entries.pop("provider_interface", None)
            else:
                entries["provider_interface"] = replace(interface, value=known_as)
        endpoint = entries.pop("endpoint", None)
        protocol = entries.pop("protocol", None)
        if endpoint is not None and "base_url" not in entries:
            entries["base_url"] = _base_url(endpoint, protocol, endpoints)
        return replace(item, value=entries)

    def router(self, models: list[_RoutingModel]) -> None:
        """What the file says of the classifier, in Plano's words, becomes the section `router`."""
        overrides = self.sections.pop("overrides", None)
        if overrides is not None and overrides.value is not None and not isinstance(overrides.value, Mapping):
            self.error(overrides, "is not a section", "remove it, or write its keys on the lines below, indented")
        left = self._without(overrides.entries if overrides else {}, "overrides")
        wanted = left.pop("llm_routing_model", None)
        for node in left.values():
            self.warn(node, "is not a setting of this service", "remove it")
        routing = self.sections.get("routing")
        if routing is not None and isinstance(routing.value, Mapping):
            entries = self._without(routing.entries, "routing")
            by_model, by_provider = entries.pop("model", None), entries.pop("llm_provider", None)
            wanted = wanted or by_provider or by_model
            self.sections["routing"] = replace(routing, value=entries)
        names = [wanted.text] if wanted is not None and wanted.text else list(_OWN_ROUTING_MODELS)
        chosen = next((model for model in models if any(model.is_called(name) for name in names)), None)
        for model in models:
            if model is not chosen:
                self.warn(
                    model.entry,
                    f"is a model for the other gateway's own use ({model.id}); clients are not served by it",
                    "remove it",
                )
        if chosen is not None and chosen.base_url is not None:
            if "router" in self.sections:
                self.warn(
                    wanted or chosen.entry,
                    f"is not used: `router` in line {self.sections['router'].line} says what classifies",
                    "remove one of the two",
                )
            else:
                self.sections["router"] = _router(wanted or chosen.entry, chosen, chosen.base_url)
        elif (chosen is not None or wanted is not None) and "router" not in self.sections:
            self.warn(
                wanted or models[0].entry,
                "names a routing model without an address here; the embedded classifier is used",
                "for a model server of your own set router.backend and router.url",
            )

    def metrics_sources(self) -> None:
        node = self.sections.get("model_metrics_sources")
        if node is None or not isinstance(node.value, tuple):
            return
        self.sections["model_metrics_sources"] = replace(
            node, value=tuple(found for item in node.items if (found := self._metrics_source(item)) is not None)
        )

    def _metrics_source(self, item: Node) -> Node | None:
        kind = item.entries.get("type")
        if kind is None or kind.text is None:
            return item
        if kind.text == "cost_metrics":
            self.error(
                kind,
                "is a service of prices, which is not asked",
                "write a file of prices: {type: cost, file: NAME}",
            )
            return None
        renamed = {key: replace(kind, value=value) for key, value in OLD_SOURCES.get(kind.text, {}).items()}
        return replace(item, value={**item.entries, **renamed})

    def _without(self, entries: Mapping[str, Node], section: str) -> dict[str, Node]:
        """The entries of a section less those that are not served, each of which is a warning."""
        not_served = NOT_SERVED[section]
        for key, node in entries.items():
            if key in not_served:
                self.warn(node, f"is not served here: {not_served[key]}", "remove it")
        return {key: node for key, node in entries.items() if key not in not_served}

    def error(self, node: Node, what: str, todo: str) -> None:
        self.problems.append(Problem(node.path, what, todo, node.line))

    def warn(self, node: Node, what: str, todo: str) -> None:
        self.problems.append(Problem(node.path, what, todo, node.line, "warning"))


_DIRECTIONS: Mapping[str, str] = MappingProxyType({"egress_traffic": "model", "ingress_traffic": "prompt"})


class _Preferences:
    """Preferences written inside of providers, collected under their names in the order of the file."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._found: dict[str, Node] = {}
        self._broken: list[Node] = []
        self._models: set[str | None] = set()

    def lift(self, entry: Node) -> Node:
        """The provider entry without its preferences, which are kept."""
        entries = dict(entry.entries)
        inline = entries.pop("routing_preferences", None)
        usage = entries.pop("usage", None)
        model, name = entries.get("model"), entries.get("name")
        if model is None:
            return replace(entry, value=entries)
        # The same model may stand in several entries, each with a preference of its own: the name tells them apart.
        target = name if name is not None and model.text in self._models else model
        self._models.add(model.text)
        if usage is not None and name is not None:  # v0.1.0: the entry's name is the route's
            self._add(replace(usage, value={"name": name, "description": usage}), target)
        if inline is not None and inline.value is not None and not isinstance(inline.value, tuple):
            self._file.error(inline, "is not a list", "write each preference after a dash, on the lines below")
        for preference in inline.items if inline is not None else ():
            self._add(preference, target)
        return replace(entry, value=entries)

    def _add(self, preference: Node, target: Node) -> None:
        if not isinstance(preference.value, Mapping):
            self._broken.append(preference)
            return
        models = replace(preference, value=(replace(preference, value=target.value),))
        preference = replace(preference, value={**preference.entries, "models": models})
        name = preference.entries.get("name")
        if name is None or name.text is None:
            self._broken.append(preference)
        elif name.text in self._found:
            self._found[name.text] = self._joined(self._found[name.text], preference, models)
        else:
            self._found[name.text] = preference

    def merge_into(self, sections: dict[str, Node]) -> None:
        """Adds what was collected to the section at the top, which comes first."""
        if not self._found and not self._broken:
            return
        top = sections.get("routing_preferences")
        if top is not None and top.value is not None and not isinstance(top.value, tuple):
            return  # validation says that it must be a list
        merged: list[Node] = []
        for preference in top.items if top is not None else ():
            name = preference.entries.get("name")
            inline = self._found.pop(name.text, None) if name is not None and name.text is not None else None
            if inline is None:
                merged.append(preference)
            else:
                merged.append(self._joined(preference, inline, inline.entries["models"]))
        merged += [*self._found.values(), *self._broken]
        place = top or merged[0]
        sections["routing_preferences"] = replace(place, value=tuple(merged))

    def _joined(self, first: Node, second: Node, models: Node) -> Node:
        one, other = first.entries.get("description"), second.entries.get("description")
        if one is not None and other is not None and one.value != other.value:
            self._file.warn(
                other,
                f"differs from the description of the same preference in line {one.line}, which is used",
                "write the same description, or give this preference another name",
            )
        known = first.entries.get("models")
        if known is None or not isinstance(known.value, tuple):
            return first
        named = {node.text for node in known.items}
        more = tuple(node for node in models.items if node.text not in named)
        return replace(first, value={**first.entries, "models": replace(known, value=known.value + more)})


def _base_url(endpoint: Node, protocol: Node | None, endpoints: Node | None) -> Node:
    """`host:port`, or the name of an entry of `endpoints`, as a URL; plain HTTP unless the protocol says otherwise."""
    named = endpoints.entries.get(endpoint.text or "") if endpoints is not None else None
    if named is not None:
        protocol = named.entries.get("protocol")
        endpoint = replace(endpoint, value=named.entries["endpoint"].value) if "endpoint" in named.entries else endpoint
    if endpoint.text is None:
        return endpoint
    scheme = protocol.text if protocol is not None and protocol.text else "http"
    return replace(endpoint, value=f"{scheme}://{endpoint.text}")


def _router(wanted: Node, model: _RoutingModel, base_url: Node) -> Node:
    # vLLM serves a name of the operator's choice; Ollama serves a repository's path, and listens on 11434.
    ollama = model.id.startswith("hf.co/") or ":11434" in (base_url.text or "")
    return replace(
        wanted,
        value={
            "backend": replace(wanted, value="openai" if ollama else "vllm"),
            "url": base_url,
            "model": replace(model.entry.entries["model"], value=model.id),
        },
    )
