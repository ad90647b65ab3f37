"""Our subset of Envoy's API has Envoy's names and numbers: every field is held against envoy-data-plane's classes."""

from __future__ import annotations

import dataclasses

import envoy_data_plane.envoy.config.core.v3 as envoy_core
import envoy_data_plane.envoy.service.ext_proc.v3 as envoy_ext_proc
import envoy_data_plane.envoy.type.v3 as envoy_type
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from router_service._generated import core_pb2, ext_proc_pb2, http_status_pb2

PACKAGES = {
    ext_proc_pb2: ("envoy.service.ext_proc.v3", envoy_ext_proc),
    core_pb2: ("envoy.config.core.v3", envoy_core),
    http_status_pb2: ("envoy.type.v3", envoy_type),
}
MESSAGES = [
    pytest.param(message, package, theirs, id=message.full_name)
    for module, (package, theirs) in PACKAGES.items()
    for message in module.DESCRIPTOR.message_types_by_name.values()
]
KINDS = {
    FieldDescriptor.TYPE_MESSAGE: "message",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_INT32: "enum",  # the same varint on the wire; keeps Envoy's enums out of our files
}


@pytest.mark.parametrize(("message", "package", "theirs"), MESSAGES)
def test_every_field_has_envoys_number_and_type(message: Descriptor, package: str, theirs: object) -> None:
    assert message.full_name == f"{package}.{message.name}"
    envoys = {field.name: field.metadata["betterproto"] for field in dataclasses.fields(getattr(theirs, message.name))}
    for field in message.fields:
        known = envoys[field.name]
        assert field.number == known.number, field.full_name
        assert KINDS[field.type] == known.proto_type, field.full_name


def test_the_method_has_envoys_name() -> None:
    service = ext_proc_pb2.DESCRIPTOR.services_by_name["ExternalProcessor"]
    assert f"/{service.full_name}/{service.methods[0].name}" == "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
