"""What every pod that we ask a cluster to run must be, as a table: the `restricted` Pod Security Standard
(https://kubernetes.io/docs/concepts/security/pod-security-standards/), and what an operator expects besides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.deploy.manifests import Pod, entries, get

Container = Mapping[str, object]

# A tag that says which version it is; `latest`, `main` and a bare name move under one's feet.
_PINNED = re.compile(r"[^:@]+(:\d+/[^:@]+)?(:[\w.-]*\d+\.\d+[\w.-]*|@sha256:[0-9a-f]{64})")
# The image of an injected gateway is Istio's to fill in.
_INJECTED = "auto"


@dataclass(frozen=True, slots=True)
class Policy:
    """`holds` is asked for every container of every pod."""

    name: str
    holds: Callable[[Pod, Container], bool]


def _setting(pod: Pod, container: Container, name: str) -> object:
    """A field of the security context: the container's own, or the pod's."""
    return get(container, f"securityContext.{name}", get(pod.spec, f"securityContext.{name}"))


def _has_probe(kind: str) -> Callable[[Pod, Container], bool]:
    return lambda pod, container: container not in pod.long_running or get(container, kind) is not None


def _resource(path: str) -> Callable[[Pod, Container], bool]:
    return lambda _, container: get(container, f"resources.{path}") is not None


def _no_host(pod: Pod, _: Container) -> bool:
    return not any(get(pod.spec, field) for field in ("hostNetwork", "hostPID", "hostIPC")) and not any(
        "hostPath" in volume for volume in entries(pod.spec, "volumes")
    )


def _image(_: Pod, container: Container) -> bool:
    image = str(container["image"])
    return image == _INJECTED or _PINNED.fullmatch(image) is not None


def _secrets_as_environment_only_where_used(pod: Pod, container: Container) -> bool:
    """Keys are given to the container that hands them to Envoy: `render`, or the proxy itself; never to the router."""
    from_secret = any(get(source, "secretRef") for source in entries(container, "envFrom"))
    return not from_secret or container["name"] in {"render", "istio-proxy"}


POLICIES: Sequence[Policy] = (
    Policy("the image is pinned", _image),
    Policy("it does not run as root", lambda pod, container: _setting(pod, container, "runAsNonRoot") is True),
    Policy(
        "its user is a number other than 0",
        lambda pod, container: isinstance(user := _setting(pod, container, "runAsUser"), int) and user > 0,
    ),
    Policy(
        "it cannot gain privileges",
        lambda _, container: get(container, "securityContext.allowPrivilegeEscalation") is False,
    ),
    Policy("it has no capability", lambda _, container: get(container, "securityContext.capabilities.drop.0") == "ALL"),
    Policy(
        "its root file system is read-only",
        lambda _, container: get(container, "securityContext.readOnlyRootFilesystem") is True,
    ),
    Policy(
        "system calls are filtered",
        lambda pod, container: _setting(pod, container, "seccompProfile.type") == "RuntimeDefault",
    ),
    Policy("it shares nothing with the node", _no_host),
    Policy("it requests CPU", _resource("requests.cpu")),
    Policy("it requests memory", _resource("requests.memory")),
    Policy("its CPU is limited", _resource("limits.cpu")),
    Policy("its memory is limited", _resource("limits.memory")),
    Policy("it says when it is ready", _has_probe("readinessProbe")),
    Policy("it says when it is stuck", _has_probe("livenessProbe")),
    Policy("it may take its time to start", _has_probe("startupProbe")),
    Policy(
        "it gets no token of the Kubernetes API",
        lambda pod, _: pod.spec.get("automountServiceAccountToken") is False,
    ),
    Policy("keys reach no container that does not need them", _secrets_as_environment_only_where_used),
)
