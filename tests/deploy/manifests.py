"""Reading built Kubernetes resources: dotted paths into what YAML gives, and the pods of a set of resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.deploy.overlays import Resource


def get(value: object, path: str, default: object = None) -> object:
    """`spec.template.metadata`; a list position is a number. `default` where something on the way is missing."""
    for step in path.split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, Sequence) and not isinstance(value, str) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return default
    return value


def entries(value: object, path: str) -> list[Mapping[str, object]]:
    """The list of mappings at `path`, empty where there is none."""
    found = get(value, path, [])
    assert isinstance(found, list), path
    return found


def name(resource: Resource) -> str:
    return f"{resource['kind']}/{get(resource, 'metadata.name')}"


def one(resources: Sequence[Resource], kind: str, called: str | None = None) -> Resource:
    """The only resource of a kind, or the one with a name (a generated name's hash left out)."""
    found = [
        resource
        for resource in resources
        if resource["kind"] == kind and (called is None or str(get(resource, "metadata.name")).startswith(called))
    ]
    assert len(found) == 1, (kind, called, [name(resource) for resource in found])
    return found[0]


@dataclass(frozen=True, slots=True)
class Pod:
    owner: str
    labels: Mapping[str, object]
    spec: Mapping[str, object]

    @property
    def containers(self) -> list[Mapping[str, object]]:
        return [*entries(self.spec, "initContainers"), *entries(self.spec, "containers")]

    @property
    def long_running(self) -> list[Mapping[str, object]]:
        sidecars = [entry for entry in entries(self.spec, "initContainers") if entry.get("restartPolicy") == "Always"]
        return [*sidecars, *entries(self.spec, "containers")]


def pods(resources: Sequence[Resource]) -> Iterator[Pod]:
    for resource in resources:
        spec, labels = get(resource, "spec.template.spec"), get(resource, "spec.template.metadata.labels", {})
        if isinstance(spec, Mapping) and isinstance(labels, Mapping):
            yield Pod(name(resource), labels, spec)
