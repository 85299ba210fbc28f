"""Proto messages as JSON schemas, as the gateway prints and reads them."""

from collections.abc import Iterable, Iterator
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet

type Schema = dict[str, Any]
Field = FieldDescriptorProto

_NUMBERS = {Field.TYPE_INT32: "int32", Field.TYPE_SINT32: "int32", Field.TYPE_SFIXED32: "int32", Field.TYPE_UINT32: "uint32"}
# Strings in JSON, because a JSON number has 53 bits.
_BIG_NUMBERS = {
    Field.TYPE_INT64: "int64",
    Field.TYPE_SINT64: "int64",
    Field.TYPE_SFIXED64: "int64",
    Field.TYPE_UINT64: "uint64",
    Field.TYPE_FIXED64: "uint64",
}
_SCALARS: dict[int, Schema] = {
    Field.TYPE_BOOL: {"type": "boolean"},
    Field.TYPE_STRING: {"type": "string"},
    Field.TYPE_BYTES: {"type": "string", "format": "byte"},
    Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
    Field.TYPE_FLOAT: {"type": "number", "format": "float"},
    **{kind: {"type": "integer", "format": form} for kind, form in _NUMBERS.items()},
    **{kind: {"type": "string", "format": form} for kind, form in _BIG_NUMBERS.items()},
}
_WELL_KNOWN: dict[str, Schema] = {
    ".google.protobuf.Duration": {"type": "string"},
    ".google.protobuf.Empty": {"type": "object"},
    ".google.protobuf.FieldMask": {"type": "string"},
    ".google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    ".google.protobuf.Value": {},
}


class Schemas:
    """Collects every referenced message in `components`."""

    def __init__(self, descriptors: FileDescriptorSet) -> None:
        self.components: dict[str, Schema] = {}
        self._messages: dict[str, DescriptorProto] = {}
        self._enums: dict[str, EnumDescriptorProto] = {}
        self._comments = dict(_comments(descriptors))
        for file in descriptors.file:
            self._enums |= {f".{file.package}.{enum.name}": enum for enum in file.enum_type}
            for message in file.message_type:
                self._collect(f".{file.package}", message)

    def comment(self, name: str) -> str:
        """The proto's comment on a message, field or RPC, in one line."""
        return " ".join(self._comments.get(name, "").split())

    def fields(self, message: str) -> dict[str, Schema]:
        """The fields of a message, with descriptions."""
        return {field.name: self._described(message, field) for field in self._messages[message].field}

    def message(self, name: str, *, without: Iterable[str] = ()) -> Schema:
        """The schema of a message, without the fields that are in the path."""
        properties = {field: schema for field, schema in self.fields(name).items() if field not in set(without)}
        required = [field.name for field in self._messages[name].field if field.name in properties and _is_required(field)]
        schema: Schema = {"type": "object", "description": self.comment(name), "properties": properties}
        return schema | ({"required": required} if required else {})

    def reference(self, name: str) -> Schema:
        """A reference to the message's component, which is created if necessary."""
        if name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[name])
        key = name.removeprefix(".")
        if key not in self.components:
            # Added first, because a message may contain itself.
            self.components[key] = {}
            self.components[key] = self.message(name)
        return {"$ref": f"#/components/schemas/{key}"}

    def _collect(self, scope: str, message: DescriptorProto) -> None:
        name = f"{scope}.{message.name}"
        self._messages[name] = message
        self._enums |= {f"{name}.{enum.name}": enum for enum in message.enum_type}
        for nested in message.nested_type:
            self._collect(name, nested)

    def _described(self, message: str, field: FieldDescriptorProto) -> Schema:
        schema, comment = self._field(field), self.comment(f"{message}.{field.name}")
        # Siblings of a $ref are ignored.
        return {"allOf": [schema], "description": comment} if "$ref" in schema else {**schema, "description": comment}

    def _field(self, field: FieldDescriptorProto) -> Schema:
        if field.label != Field.LABEL_REPEATED:
            return self._single(field)
        if field.type == Field.TYPE_MESSAGE and self._messages[field.type_name].options.map_entry:
            return {"type": "object", "additionalProperties": self._single(self._messages[field.type_name].field[1])}
        return {"type": "array", "items": self._single(field)}

    def _single(self, field: FieldDescriptorProto) -> Schema:
        if field.type == Field.TYPE_ENUM:
            return {"type": "string", "enum": [value.name for value in self._enums[field.type_name].value]}
        return self.reference(field.type_name) if field.type == Field.TYPE_MESSAGE else dict(_SCALARS[field.type])


def _is_required(field: FieldDescriptorProto) -> bool:
    return field_behavior_pb2.REQUIRED in field.options.Extensions[field_behavior_pb2.field_behavior]


def _comments(descriptors: FileDescriptorSet) -> Iterator[tuple[str, str]]:
    """Full name and leading comment of top-level messages, their fields, and RPCs."""
    for file in descriptors.file:
        comments = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}
        # Paths are field numbers of FileDescriptorProto: 4 message_type, 6 service; within those, 2 is field or method.
        for i, message in enumerate(file.message_type):
            yield f".{file.package}.{message.name}", comments.get((4, i), "")
            for j, field in enumerate(message.field):
                yield f".{file.package}.{message.name}.{field.name}", comments.get((4, i, 2, j), "")
        for i, service in enumerate(file.service):
            for j, method in enumerate(service.method):
                yield f".{file.package}.{service.name}.{method.name}", comments.get((6, i, 2, j), "")
