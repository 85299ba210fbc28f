"""The descriptor set, by name: messages, enums, public RPCs, and the comments on all of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from convergence.access.v1 import access_pb2
from convergence.contract.v1 import contract_pb2
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

type _Named = DescriptorProto | EnumDescriptorProto | ServiceDescriptorProto

ROOT: Final = Path(__file__).resolve().parents[2]

# Field numbers of FileDescriptorProto and what is in it, of which the paths of comments are made.
_MESSAGES, _ENUMS, _SERVICES, _FIELDS, _METHODS, _VALUES = 4, 5, 6, 2, 2, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class RestRpc:
    """A public RPC and its REST binding."""

    service: ServiceDescriptorProto
    method: MethodDescriptorProto
    full_name: str
    """`.package.Service.Method`."""
    verb: str
    """In lower case."""
    template: str
    """E.g. `/api/v1/tenants/{tenant_id}`."""
    body: str
    """The field that is the body, `*` for all that are not in the path; empty: none."""

    @property
    def allow(self) -> access_pb2.Allow:
        """Its access rule."""
        return self.method.options.Extensions[access_pb2.allow]

    @property
    def title(self) -> str:
        """Its service's name for people."""
        return str(self.service.options.Extensions[contract_pb2.title]) or self.service.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Protos:
    """All by full name, with a leading dot."""

    messages: Mapping[str, DescriptorProto]
    enums: Mapping[str, EnumDescriptorProto]
    comments: Mapping[str, str]
    """In one line, of messages, fields, enums, their values, services and RPCs."""
    rpcs: tuple[RestRpc, ...]

    @classmethod
    def of(cls, descriptors: FileDescriptorSet) -> Self:
        """Indexes a descriptor set with source info."""
        enums = {f".{file.package}.{enum.name}": enum for file in descriptors.file for enum in file.enum_type}
        messages = {name: message for file in descriptors.file for name, message in _nested(f".{file.package}", file.message_type)}
        enums |= {f"{name}.{enum.name}": enum for name, message in messages.items() for enum in message.enum_type}
        comments = {name: " ".join(text.split()) for name, text in _comments(descriptors)}
        return cls(messages=messages, enums=enums, comments=comments, rpcs=tuple(_rpcs(descriptors)))

    def comment(self, name: str) -> str:
        """The comment on something; empty if it has none."""
        return self.comments.get(name, "")


def read_descriptors() -> FileDescriptorSet:
    """The generated descriptor set."""
    return FileDescriptorSet.FromString((ROOT / "gen" / "descriptor.binpb").read_bytes())


def is_required(field: FieldDescriptorProto) -> bool:
    """A request must have the field."""
    return field_behavior_pb2.REQUIRED in field.options.Extensions[field_behavior_pb2.field_behavior]


def has_presence(field: FieldDescriptorProto) -> bool:
    """An answer may lack the field. All others are always printed, see `always_print_primitive_fields` in configs/envoy/envoy.yaml."""
    is_message = field.type == FieldDescriptorProto.TYPE_MESSAGE and field.label != FieldDescriptorProto.LABEL_REPEATED
    return is_message or field.HasField("oneof_index")


def _nested(scope: str, messages: Iterable[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    for message in messages:
        yield f"{scope}.{message.name}", message
        yield from _nested(f"{scope}.{message.name}", message.nested_type)


def _rpcs(descriptors: FileDescriptorSet) -> Iterator[RestRpc]:
    for file in descriptors.file:
        for service in file.service:
            for method in service.method:
                rule = method.options.Extensions[annotations_pb2.http]
                for binding in (rule, *rule.additional_bindings):
                    verb = binding.WhichOneof("pattern")
                    if verb:
                        yield RestRpc(
                            service=service,
                            method=method,
                            full_name=f".{file.package}.{service.name}.{method.name}",
                            verb=verb,
                            template=getattr(binding, verb),
                            body=binding.body,
                        )


def _comments(descriptors: FileDescriptorSet) -> Iterator[tuple[str, str]]:
    for file in descriptors.file:
        texts = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        parts: tuple[tuple[int, Iterable[_Named], int, str], ...] = (
            (_MESSAGES, file.message_type, _FIELDS, "field"),
            (_ENUMS, file.enum_type, _VALUES, "value"),
            (_SERVICES, file.service, _METHODS, "method"),
        )
        for kind, ones, inner_kind, inner in parts:
            for i, one in enumerate(ones):
                name = f".{file.package}.{one.name}"
                yield name, texts.get((kind, i), "")
                for j, part in enumerate(getattr(one, inner)):
                    yield f"{name}.{part.name}", texts.get((kind, i, inner_kind, j), "")
