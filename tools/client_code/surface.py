"""Reads the descriptor set and client/methods.toml into what the client's classes are made of. Raises SurfaceError where they disagree."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convergence.access.v1 import access_pb2
from convergence.contract.v1 import contract_pb2
from convergence.errors.v1.error_reason_pb2 import ErrorReason
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf import descriptor_pb2

PREFIX = "ERROR_REASON_"
PIPELINE = ("provider", "domain", "template", "pipeline_template")
"""The fields that a caller gives as one: `gcp/cost/billing`."""


class SurfaceError(Exception):
    """client/methods.toml names an RPC that is not there or not public, names one twice, or leaves one out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message's place in the generated modules."""

    module: str
    """E.g. `convergence.executor.v1`."""
    file: str
    """E.g. `run_pb2`."""
    name: str

    @property
    def python(self) -> str:
        """As an annotation."""
        return f"{self.file}.{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """An argument of a method."""

    name: str
    type: str
    required: bool
    positional: bool
    about: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rpc:
    """A method of a resource."""

    name: str
    path: str
    about: str
    rest: str
    caller: str
    """TENANT, ADMIN or ANYONE."""
    scope: str
    request: Message
    response: Message
    arguments: tuple[Argument, ...]
    streaming: bool
    items: tuple[str, Message] | None
    """Of a list: the field that holds the items, and what they are."""
    repeatable: bool
    idempotency_key: bool
    refusals: tuple[str, ...]
    """Reasons beside those that every call may be refused for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """An attribute of the client."""

    name: str
    about: str
    rpcs: tuple[Rpc, ...]

    @property
    def cls(self) -> str:
        """The name of its class."""
        return "".join(part.capitalize() for part in self.name.split("_"))


class Surface:
    """Everything public, looked up by name."""

    def __init__(self, descriptors: Path, methods: Path) -> None:
        """`descriptors` is the descriptor set with source info, `methods` the description."""
        self._files = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes()).file
        self._comments = dict(comments(self._files))
        self._messages = {f".{file.package}.{message.name}": (file, message) for file in self._files for message in file.message_type}
        self._services = {f"{s.name}.{m.name}": (file, s, m) for file in self._files for s in file.service for m in s.method}
        self._described: Mapping[str, Mapping[str, Any]] = tomllib.loads(methods.read_text())

    def public(self) -> set[str]:
        """All RPCs with a REST binding, as `Service.Rpc`."""
        return {name for name, (_, _, method) in self._services.items() if method.options.HasExtension(annotations_pb2.http)}

    def resources(self) -> list[Resource]:
        """All of the description, in its order."""
        rows = [row for table in self._described.values() for key, row in table.items() if key != "about"]
        named = [row if isinstance(row, str) else row["rpc"] for row in rows]
        if wrong := {name for name in named if named.count(name) > 1} | (set(named) ^ self.public()):
            raise SurfaceError(f"client/methods.toml must name each public RPC once, and no other: {', '.join(sorted(wrong))}")
        return [
            Resource(
                name=resource,
                about=table["about"],
                rpcs=tuple(self._rpc(key, {"rpc": row} if isinstance(row, str) else row) for key, row in table.items() if key != "about"),
            )
            for resource, table in self._described.items()
        ]

    def reasons(self) -> Iterator[tuple[str, str]]:
        """Each error reason without its prefix, with its comment."""
        for file in self._files:
            for enum in file.enum_type:
                if enum.name == "ErrorReason":
                    for value in enum.value[1:]:
                        name = f"{file.package}.{enum.name}.{value.name}"
                        yield value.name.removeprefix(PREFIX), self._comments[name]

    def _rpc(self, name: str, row: Mapping[str, Any]) -> Rpc:
        file, service, method = self._services[row["rpc"]]
        http = method.options.Extensions[annotations_pb2.http]
        allow = method.options.Extensions[access_pb2.allow]
        verb = http.WhichOneof("pattern")
        _, request = self._messages[method.input_type]
        idempotency_key = bool(row.get("idempotency_key"))
        return Rpc(
            name=name,
            path=f"/{file.package}.{service.name}/{method.name}",
            about=self._comments[f"{file.package}.{service.name}.{method.name}"],
            rest=f"{verb.upper()} {getattr(http, verb)}",
            caller=str(allow.WhichOneof("caller")).upper(),
            scope=allow.tenant.scope or allow.admin.role,
            request=self._message(method.input_type),
            response=self._message(method.output_type),
            arguments=tuple(self._arguments(request, method.input_type, getattr(http, verb), [http.body, *row.get("positional", ())])),
            streaming=method.server_streaming,
            items=self._items(method.output_type) if method.name.startswith("List") or self._paged(request) else None,
            repeatable=verb != "post" or "repeat" in row or idempotency_key,
            idempotency_key=idempotency_key,
            refusals=tuple(ErrorReason.Name(one).removeprefix(PREFIX) for one in method.options.Extensions[contract_pb2.refusals].reasons),
        )

    def _message(self, type_name: str) -> Message:
        file, message = self._messages[type_name]
        folder, _, stem = file.name.removesuffix(".proto").rpartition("/")
        return Message(module=folder.replace("/", "."), file=f"{stem}_pb2", name=message.name)

    @staticmethod
    def _paged(request: descriptor_pb2.DescriptorProto) -> bool:
        return any(field.name == "page_token" for field in request.field)

    def _items(self, response: str) -> tuple[str, Message]:
        """The first repeated field, as AIP-4233 says."""
        field = next(field for field in self._messages[response][1].field if field.label == field.LABEL_REPEATED)
        return field.name, self._message(field.type_name)

    def _arguments(self, request: descriptor_pb2.DescriptorProto, type_name: str, path: str, positional: list[str]) -> Iterator[Argument]:
        fields = {field.name: field for field in request.field if field.name != "page_token"}
        pipeline = [name for name in PIPELINE if name in fields] if "domain" in fields else []
        if pipeline:
            yield Argument(name="pipeline", type="str", required=True, positional=True, about="The template, e.g. `gcp/cost/billing`.")
        first = [*[name for name in re.findall(r"{(\w+)}", path) if name != "tenant_id"], *positional]
        for name in sorted(fields, key=lambda name: first.index(name) if name in first else len(first)):
            field = fields[name]
            required = field_behavior_pb2.REQUIRED in field.options.Extensions[field_behavior_pb2.field_behavior]
            tenant = name == "tenant_id" and required and "tenant_id" not in positional
            if name not in pipeline:
                yield Argument(
                    name=name,
                    type=python_type(field),
                    required=required and not tenant,
                    positional=name in first,
                    about="The tenant; None: the client's own." if tenant else self._comments[f"{type_name[1:]}.{name}"],
                )


SCALARS = {
    descriptor_pb2.FieldDescriptorProto.TYPE_INT32: "int",
    descriptor_pb2.FieldDescriptorProto.TYPE_INT64: "int",
    descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE: "float",
    descriptor_pb2.FieldDescriptorProto.TYPE_BOOL: "bool",
}
MESSAGES = {".google.protobuf.Timestamp": "datetime", ".google.protobuf.Struct": "Mapping[str, object]"}
TEXTS = {
    "date | str": re.compile(r"^(date|start_date|end_date|used_from|invoice_month|start_month|end_month)$"),
    "date | datetime | str": re.compile(r"^(start_time|end_time|changed_from|changed_before)$"),
    "Decimal | str": re.compile(r"^amount$"),
}
"""Fields that are text in the protos and something better in Python."""


def python_type(field: descriptor_pb2.FieldDescriptorProto) -> str:
    """What a caller may pass for a field."""
    if field.type_name:
        return MESSAGES[field.type_name]
    if field.label == field.LABEL_REPEATED:
        return "Sequence[str]"
    return SCALARS.get(field.type) or next((kind for kind, names in TEXTS.items() if names.match(field.name)), "str")


def comments(files: Iterable[descriptor_pb2.FileDescriptorProto]) -> Iterator[tuple[str, str]]:
    """The comment of each method, field and value of an enum, by its full name, on one line."""
    for file in files:
        for location in file.source_code_info.location:
            text = " ".join(location.leading_comments.split())
            match list(location.path):
                case [6, service, 2, method]:
                    yield f"{file.package}.{file.service[service].name}.{file.service[service].method[method].name}", text
                case [4, message, 2, field]:
                    yield f"{file.package}.{file.message_type[message].name}.{file.message_type[message].field[field].name}", text
                case [5, enum, 2, value]:
                    yield f"{file.package}.{file.enum_type[enum].name}.{file.enum_type[enum].value[value].name}", text
