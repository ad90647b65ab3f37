"""The few shapes that every Envoy message needs, so that the other modules read as the configuration they are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from betterproto2 import Message
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import (
    HeaderMutation as HeaderMutationRule,
)
from envoy_data_plane.envoy.config.common.mutation_rules.v3 import (
    HeaderMutationRemoveOnMatch,
)
from envoy_data_plane.envoy.config.core.v3 import (
    ApiVersion,
    ConfigSource,
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
    PathConfigSource,
    TypedExtensionConfig,
    WatchedDirectory,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from router_service.dataplane.protojson import Packed


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def extension(name: str, config: Message) -> TypedExtensionConfig:
    return TypedExtensionConfig(name=name, typed_config=Packed(config))


def http_filter(name: str, config: Message) -> HttpFilter:
    return HttpFilter(name=name, typed_config=Packed(config))


def set_header(key: str, value: str) -> HeaderValueOption:
    """The header with this value alone, whatever it was; left out where a formatted value comes out empty."""
    return HeaderValueOption(
        header=HeaderValue(key=key, value=value),
        append_action=HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    )


def default_header(key: str, value: str) -> HeaderValueOption:
    """The header with this value where there is none."""
    return HeaderValueOption(
        header=HeaderValue(key=key, value=value),
        append_action=HeaderValueOptionHeaderAppendAction.ADD_IF_ABSENT,
    )


def remove_headers(names: Iterable[str] = (), *, prefixes: Iterable[str] = ()) -> list[HeaderMutationRule]:
    """Mutations that remove every header with one of these names, or whose name begins with one of these prefixes."""
    return [
        *(HeaderMutationRule(remove=name) for name in names),
        *(
            HeaderMutationRule(
                remove_on_match=HeaderMutationRemoveOnMatch(key_matcher=StringMatcher(prefix=prefix, ignore_case=True))
            )
            for prefix in prefixes
        ),
    ]


def watched_file(directory: str, name: str) -> ConfigSource:
    """A resource that Envoy reads from a file, and again whenever a file is renamed into its directory."""
    return ConfigSource(
        path_config_source=PathConfigSource(
            path=f"{directory}/{name}", watched_directory=WatchedDirectory(path=directory)
        ),
        resource_api_version=ApiVersion.V3,
    )
