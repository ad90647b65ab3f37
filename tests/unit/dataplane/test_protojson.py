"""Our JSON of Envoy messages against betterproto2's own, which reads it back."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from betterproto2 import Casing, Message
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterLbPolicy
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    DataSource,
    Pipe,
    SocketAddress,
    TypedExtensionConfig,
)
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.type.v3 import Percent
from envoy_data_plane.google import protobuf as pb
from hypothesis import given
from hypothesis import strategies as st

from router_service.dataplane.bootstrap import bootstrap
from router_service.dataplane.protojson import Json, Packed, to_json
from router_service.dataplane.render import clusters, listeners
from router_service.dataplane.secrets import Credential
from tests.unit.dataplane.rendered import DEPLOYMENT, config_of

CONFIG = config_of(
    {"model": "openai/gpt-5", "access_key": "sk-1", "headers": {"X-Team": "search"}},
    {"model": "azure_openai/gpt-4o", "base_url": "https://r.openai.azure.com", "access_key": "sk-2"},
    {"model": "vllm/*", "base_url": "http://[::1]:8000"},
)
KEYS: dict[str, tuple[Credential, ...]] = {entry.key: () for entry in CONFIG.model_providers}


def clusters_that_betterproto2_can_spell() -> list[Cluster]:
    """Without the fields named `…_5xx`."""
    found = clusters(CONFIG, DEPLOYMENT)
    for cluster in found:
        cluster.outlier_detection = None
    return found


RENDERED: list[Message] = [
    bootstrap(DEPLOYMENT),
    *clusters_that_betterproto2_can_spell(),
    *listeners(CONFIG, DEPLOYMENT, KEYS),
]


def with_real_any(value: Any) -> Any:
    """A message with every `Packed` in it serialised, as betterproto2 knows it."""
    match value:
        case Packed():
            return pb.Any.pack(with_real_any(value.message))
        case list():
            return [with_real_any(item) for item in value]
        case dict():
            return {key: with_real_any(item) for key, item in value.items()}
        case Message():
            names = [field.name for field in dataclasses.fields(value)]  # type: ignore[arg-type]
            return type(value)(**{name: with_real_any(getattr(value, name)) for name in names})
        case _:
            return value


@pytest.mark.parametrize("message", RENDERED, ids=lambda message: str(getattr(message, "name", "bootstrap")))
def test_everything_rendered_has_the_json_that_betterproto2_would_write(message: Message) -> None:
    assert to_json(message) == with_real_any(message).to_dict(casing=Casing.SNAKE)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(Bootstrap(), {}, id="defaults are left out"),
        pytest.param(
            Cluster(wait_for_warm_on_init=False), {"wait_for_warm_on_init": False}, id="a wrapped default is not"
        ),
        pytest.param(DataSource(inline_string=""), {"inline_string": ""}, id="nor is one of a oneof"),
        pytest.param(Cluster(lb_policy=ClusterLbPolicy.LEAST_REQUEST), {"lb_policy": "LEAST_REQUEST"}, id="enum"),
        pytest.param(
            Cluster(connect_timeout=timedelta(milliseconds=5500)), {"connect_timeout": "5.500s"}, id="duration"
        ),
        pytest.param(Cluster(connect_timeout=timedelta(0)), {"connect_timeout": "0s"}, id="no time at all"),
        pytest.param(Cluster(connect_timeout=timedelta(minutes=10)), {"connect_timeout": "600s"}, id="ten minutes"),
        pytest.param(Percent(value=0.5), {"value": 0.5}, id="double"),
        pytest.param(Address(pipe=Pipe(path="/s")), {"pipe": {"path": "/s"}}, id="message in a oneof"),
        pytest.param(Address(pipe=Pipe()), {"pipe": {}}, id="empty message in a oneof"),
        pytest.param(
            TypedExtensionConfig(name="n", typed_config=Packed(Pipe(path="/s"))),
            {"name": "n", "typed_config": {"@type": "type.googleapis.com/envoy.config.core.v3.Pipe", "path": "/s"}},
            id="Any",
        ),
        pytest.param(
            pb.Struct.from_dict({"a": "x", "b": {"c": [True, None, 1.5]}}),
            {"a": "x", "b": {"c": [True, None, 1.5]}},
            id="Struct",
        ),
    ],
)
def test_the_json_of(message: Message, expected: Json) -> None:
    assert to_json(message) == expected


def test_an_any_that_does_not_keep_its_message_is_refused() -> None:
    with pytest.raises(TypeError, match="Packed"):
        to_json(TypedExtensionConfig(typed_config=pb.Any()))


@given(st.text(), st.integers(0, 2**32 - 1), st.floats(0, 1e8))
def test_scalars_survive(name: str, number: int, seconds: float) -> None:
    """Whatever a configuration holds, betterproto2 reads back what was put in, durations to the microsecond."""
    timeout = timedelta(seconds=seconds)
    listener = Listener(
        name=name,
        per_connection_buffer_limit_bytes=number,
        listener_filters_timeout=timeout,
        address=Address(socket_address=SocketAddress(address=name, port_value=number)),
    )
    assert Listener.from_dict(to_json(listener)) == listener
