"""Proto messages as JSON schemas, as the gateway prints and reads them."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from convergence.contract.v1 import contract_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from tools.openapi.protos import Protos, has_presence, is_required
from tools.openapi.words import word_schema

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
_SCALARS: Final[Mapping[int, Schema]] = MappingProxyType(
    {
        Field.TYPE_BOOL: {"type": "boolean"},
        Field.TYPE_STRING: {"type": "string"},
        Field.TYPE_BYTES: {"type": "string", "format": "byte"},
        Field.TYPE_DOUBLE: {"type": "number", "format": "double"},
        Field.TYPE_FLOAT: {"type": "number", "format": "float"},
        **{kind: {"type": "integer", "format": form} for kind, form in _NUMBERS.items()},
        **{kind: {"type": "string", "format": form} for kind, form in _BIG_NUMBERS.items()},
    }
)
_WELL_KNOWN: Final[Mapping[str, Schema]] = MappingProxyType(
    {
        ".google.protobuf.Duration": {"type": "string"},
        ".google.protobuf.Empty": {"type": "object"},
        ".google.protobuf.FieldMask": {"type": "string"},
        ".google.protobuf.Struct": {"type": "object", "additionalProperties": True},
        ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
        ".google.protobuf.Value": {},
    }
)


class Schemas:
    """Collects in `components` every message and enum that is referred to.

    A message of an answer has as required what the gateway always prints, one of a request what the service requires; no message is part of
    both, which would need two schemas.
    """

    def __init__(self, protos: Protos) -> None:
        self.components: dict[str, Schema] = {}
        self._protos = protos
        self._sources: dict[str, tuple[str, bool]] = {}

    def fields(self, message: str, *, in_answer: bool) -> dict[str, Schema]:
        """The fields of a message, with descriptions."""
        return {field.name: self._described(message, field, in_answer) for field in self._protos.messages[message].field}

    def message(self, name: str, *, without: Iterable[str] = (), in_answer: bool) -> Schema:
        """The schema of a message, without the fields that are in the path."""
        properties = {field: schema for field, schema in self.fields(name, in_answer=in_answer).items() if field not in set(without)}
        wanted = [field for field in self._protos.messages[name].field if field.name in properties]
        required = [field.name for field in wanted if (not has_presence(field) if in_answer else is_required(field))]
        schema: Schema = {"type": "object", "description": self._protos.comment(name), "properties": properties}
        return schema | ({"required": required} if required else {})

    def reference(self, name: str, *, in_answer: bool) -> Schema:
        """A reference to the message's component, which is created if necessary. Raises ValueError if the name has two meanings."""
        if name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[name])
        if self._is_new(name, in_answer=in_answer):
            # Added first, because a message may contain itself.
            key = _short(name)
            self.components[key] = {}
            self.components[key] = self.message(name, in_answer=in_answer)
        return _reference(name)

    def words(self, name: str) -> Schema:
        """A reference to the component of an enum's words. `name` has a leading dot."""
        if self._is_new(name, in_answer=True):
            self.components[_short(name)] = word_schema(self._protos, name)
        return _reference(name)

    def _is_new(self, name: str, *, in_answer: bool) -> bool:
        known = self._sources.setdefault(_short(name), (name, in_answer))
        if known != (name, in_answer):
            raise ValueError(f"{name} and {known[0]} would both be the schema {_short(name)}, or one is part of requests and answers")
        return _short(name) not in self.components

    def _described(self, message: str, field: FieldDescriptorProto, in_answer: bool) -> Schema:  # noqa: FBT001
        schema, comment = self._field(field, in_answer=in_answer), self._protos.comment(f"{message}.{field.name}")
        # Many tools still drop what stands beside a $ref.
        return {"allOf": [schema], "description": comment} if "$ref" in schema else {**schema, "description": comment}

    def _field(self, field: FieldDescriptorProto, *, in_answer: bool) -> Schema:
        if field.label != Field.LABEL_REPEATED:
            return self._single(field, in_answer=in_answer)
        message = self._protos.messages.get(field.type_name)
        if message is not None and message.options.map_entry:
            return {"type": "object", "additionalProperties": self._single(message.field[1], in_answer=in_answer)}
        return {"type": "array", "items": self._single(field, in_answer=in_answer)}

    def _single(self, field: FieldDescriptorProto, *, in_answer: bool) -> Schema:
        if field.options.HasExtension(contract_pb2.words):
            declared = field.options.Extensions[contract_pb2.words]
            word = self.words(f".{declared.of}")
            # A request leaves an empty field out.
            return {"anyOf": [word, {"type": "string", "const": ""}]} if declared.or_empty and in_answer else word
        if field.type == Field.TYPE_ENUM:
            return {"type": "string", "enum": [value.name for value in self._protos.enums[field.type_name].value]}
        return self.reference(field.type_name, in_answer=in_answer) if field.type == Field.TYPE_MESSAGE else dict(_SCALARS[field.type])


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{_short(name)}"}
