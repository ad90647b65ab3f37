"""A configuration as the files that Envoy reads: relative path to text. Same input, same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import msgspec
from betterproto2 import Message
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.listener.v3 import Listener

from router_service.config.models import Config
from router_service.config.providers import endpoint
from router_service.dataplane.bootstrap import bootstrap
from router_service.dataplane.clusters import (
    member_cluster,
    model_cluster,
    pool_cluster,
    provider_cluster,
    service_cluster,
)
from router_service.dataplane.deployment import Deployment
from router_service.dataplane.edge import edge_listener
from router_service.dataplane.model_listeners import model_listener
from router_service.dataplane.pools import pools, served_models
from router_service.dataplane.protojson import Json, Packed, to_json
from router_service.dataplane.secrets import Credential, secret, shared_credentials
from router_service.dataplane.status import admin_cluster, status_listener


def render(config: Config, deployment: Deployment, missing: Collection[str] = ()) -> dict[str, str]:
    """Every file of a checked configuration. Those under `sds/` hold keys; the others hold none.

    `missing` are the keys of entries that name an environment variable which is not set.
    """
    keys = shared_credentials(config.model_providers, missing)
    files = {
        "bootstrap.json": _text(to_json(bootstrap(deployment))),
        "cds.json": _discovery_response(clusters(config, deployment)),
        "lds.json": _discovery_response(listeners(config, deployment, keys)),
    }
    for found in keys.values():
        # Without a version: a hash of a key would show in Envoy's /config_dump.
        files |= {credential.file: _text({"resources": [to_json(Packed(secret(credential)))]}) for credential in found}
    return files


def listeners(config: Config, deployment: Deployment, keys: dict[str, tuple[Credential, ...]]) -> list[Listener]:
    """Where clients connect, one internal listener per model, and where metrics and health are."""
    return [
        *(edge_listener(config, listener, deployment) for listener in config.listeners),
        *(model_listener(model, keys[model.credentials_of], config, deployment) for model in served_models(config)),
        *([status_listener(deployment.status)] if deployment.status else []),
    ]


def clusters(config: Config, deployment: Deployment) -> list[Cluster]:
    """The service, the pools, the ways to each model's listener, each provider once."""
    models = served_models(config)
    followed = {member.key for pool in pools(config) for member in pool.members[:-1]}
    providers: dict[str, Cluster] = {}
    for model in models:
        cluster = provider_cluster(endpoint(model.entry), deployment)
        providers.setdefault(cluster.name, cluster)
    return [
        service_cluster(deployment),
        *(pool_cluster(pool) for pool in pools(config)),
        *(member_cluster(model.entry) for model in models if model.entry.key in followed),
        *(model_cluster(model.entry) for model in models),
        *providers.values(),
        *([admin_cluster(deployment.admin_port)] if deployment.status else []),
    ]


def _discovery_response(resources: Sequence[Message]) -> str:
    """A DiscoveryResponse, the form of xDS in files. Its version shows in Envoy's statistics and /config_dump."""
    packed: list[Json] = [to_json(Packed(resource)) for resource in resources]
    version = hashlib.sha256(msgspec.json.encode(packed)).hexdigest()[:16]
    return _text({"version_info": version, "resources": packed})


def _text(value: Json) -> str:
    # json.dumps would indent in Python: half of the time that a large configuration takes
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
