"""Our subset of Envoy's API has Envoy's names and numbers: every field is held against envoy-data-plane's classes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import envoy_data_plane.envoy.config.core.v3 as envoy_core
import envoy_data_plane.envoy.service.ext_proc.v3 as envoy_ext_proc
import envoy_data_plane.envoy.type.v3 as envoy_type
import grpc_tools
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from grpc_tools import protoc

from router_service._generated import core_pb2, ext_proc_pb2, http_status_pb2

ROOT = Path(__file__).parents[3]
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


def test_the_generated_code_is_what_protoc_makes_of_proto(tmp_path: Path) -> None:
    generated = Path(ext_proc_pb2.__file__).parent
    sources = sorted((ROOT / "proto").glob("*.proto"))
    includes = [f"-Irouter_service/_generated={ROOT / 'proto'}", f"-I{Path(grpc_tools.__file__).parent / '_proto'}"]
    outputs = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    names = [f"router_service/_generated/{source.name}" for source in sources]
    assert protoc.main(["protoc", *includes, *outputs, *names]) == 0
    for made in (tmp_path / "router_service/_generated").iterdir():
        assert (generated / made.name).read_text() == made.read_text(), "run make proto"
