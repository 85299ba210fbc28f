"""Every request message of every public RPC, filled with values that can be carried and with such that cannot."""

import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from services.platform.errors import InvalidArgument
from services.platform.rpc.values import MAX_VALUES, check_values
from tests.unit.platform.rpc.test_lists import PUBLIC

NUL, EXTREME = "a\0b", 2**63 - 1
BAD: dict[int, list[Any]] = {
    FieldDescriptor.TYPE_DOUBLE: [math.nan, math.inf, -math.inf],
    FieldDescriptor.TYPE_FLOAT: [math.nan, math.inf, -math.inf],
    FieldDescriptor.TYPE_STRING: [NUL],
}
BAD_STRUCTS = [
    Value(number_value=math.nan),
    Value(number_value=-math.inf),
    Value(string_value=NUL),
    Value(struct_value=Struct(fields={NUL: Value(bool_value=True)})),
]
BAD_TIMES = [
    Timestamp(seconds=-1),
    Timestamp(seconds=EXTREME),
    Timestamp(seconds=-EXTREME - 1),
    Timestamp(nanos=-1),
    Timestamp(nanos=2**31 - 1),
    Timestamp(seconds=-62_135_596_800),
    Timestamp(seconds=253_402_300_799),
]


def bad_requests(method: MethodDescriptor) -> Iterator[tuple[str, Any]]:
    """A request for each bad value of each field, with the field's name."""
    made = message_factory.GetMessageClass(method.input_type)
    for field in method.input_type.fields:
        match field.message_type.full_name if field.message_type else None:
            case None:
                for value in BAD.get(field.type, []):
                    yield field.name, made(**{field.name: [value] if field.is_repeated else value})
            case "google.protobuf.Timestamp":
                yield from ((field.name, made(**{field.name: value})) for value in BAD_TIMES)
            case "google.protobuf.Struct":
                yield from ((field.name, made(**{field.name: Struct(fields={"a": value})})) for value in BAD_STRUCTS)
            case other:
                pytest.fail(f"{method.full_name}.{field.name} is a {other}, which this test does not fill")


@pytest.mark.parametrize("method", PUBLIC, ids=lambda method: method.full_name)
def test_what_cannot_be_carried_is_refused_by_its_place(method: MethodDescriptor) -> None:
    for name, request in bad_requests(method):
        with pytest.raises(InvalidArgument) as refusal:
            check_values(request, most=MAX_VALUES)
        assert (refusal.value.field or "").split(".")[0].split("[")[0] == name


def test_what_can_be_carried_is_not_refused() -> None:
    good = Struct()
    good.update({"text": "\u2028 \x1f \U0010ffff", "number": -1.7e308, "list": [None, True, {}, []], "": ""})
    check_values(good, path="parameters")
    for seconds in (0, 253_402_214_399):
        check_values(Timestamp(seconds=seconds), path="expires_at")


def test_a_request_of_very_many_values_is_refused_before_all_are_looked_at() -> None:
    many = Struct()
    many.update({"a": [0.0] * (MAX_VALUES - 1)})
    check_values(many, most=MAX_VALUES)
    many.update({"b": [0.0] * 100_000})
    began = time.thread_time()
    with pytest.raises(InvalidArgument, match="10,000"):
        check_values(many, most=MAX_VALUES)
    assert time.thread_time() - began < 0.5


def test_protobuf_itself_refuses_what_is_nested_too_deep_and_what_is_no_text() -> None:
    """`check_values` relies on it."""
    deep = b""
    for _ in range(200):
        inner = b"\x32" + _length(deep) + deep  # Value.list_value
        deep = b"\x0a" + _length(inner) + inner  # ListValue.values
    with pytest.raises(DecodeError):
        Value.FromString(b"\x32" + _length(deep) + deep)
    for text in (b"\xed\xa0\x80", b"\xff", b"\xc0\x80"):
        with pytest.raises(DecodeError):
            Value.FromString(b"\x1a" + _length(text) + text)


def _length(data: bytes) -> bytes:
    size, varint = len(data), b""
    while size > 127:
        varint, size = varint + bytes([size & 127 | 128]), size >> 7
    return varint + bytes([size])
