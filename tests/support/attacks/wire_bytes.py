"""Requests as no client would send them, in the wire format (protobuf.dev, "Encoding"): written by hand, because the library refuses half
of this.
"""

import math
import struct
from collections.abc import Mapping, Sequence

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st

from tests.support.attacks.odd_values import NUMBERS, ODD_BYTES, TEXTS
from tests.support.attacks.rpcs import Rpc, is_required

type Known = Mapping[str, Sequence[str]]
"""Values that lead further than nonsense does, by the field's name."""

DEPTH = 4
"""Messages within messages; beyond it, only what is too deep for any parser."""
TOO_DEEP = 150
VARINT, FIXED64, LENGTH, GROUP, END_GROUP = range(5)
FLOATS = (0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324)
UNKNOWN_FIELDS = (999, 19_500, 2**29 - 1)
OFTEN, SELDOM = 9, 4
"""Of ten requests, how many have a field that is required, and another."""


@st.composite
def request_bytes(draw: st.DrawFn, rpc: Rpc, known: Known) -> bytes:
    """One request: mostly well-formed, with values that are mostly not."""
    whole = _message(rpc.method.input_type, known, 0)
    raw = draw(whole)
    match draw(st.sampled_from((*[""] * 6, "cut", "noise", "more"))):
        case "cut":
            return raw[: draw(st.integers(0, len(raw)))]
        case "noise":
            return draw(st.binary(max_size=60))
        case "more":
            return raw + draw(whole | _odd_fields())
    return raw


def _odd_fields() -> st.SearchStrategy[bytes]:
    """No field of the message: unknown, very long, or not the end that it should have."""
    unknown = st.tuples(st.sampled_from(UNKNOWN_FIELDS), st.binary(max_size=20)).map(lambda one: _text(*one))
    long = st.sampled_from((15_000, 17_000, 200_000)).map(lambda size: _text(UNKNOWN_FIELDS[0], b"x" * size))
    broken = (_tag(1, GROUP), _tag(1, END_GROUP), b"\0", b"\xff" * 11, _tag(1, LENGTH) + b"\xff\xff\xff\x7f")
    return unknown | long | st.sampled_from(broken)


@st.composite
def _message(draw: st.DrawFn, message: Descriptor, known: Known, depth: int) -> bytes:
    parts = list[bytes]()
    for field in message.fields:
        if draw(st.integers(0, 9)) >= (OFTEN if is_required(field) else SELDOM):
            continue
        times = draw(st.sampled_from((1, 1, 2, 3, 500))) if field.is_repeated and depth == 0 else 1
        parts.append(draw(_field(field, known, depth)) * times)
    return b"".join(parts)


def _field(field: FieldDescriptor, known: Known, depth: int) -> st.SearchStrategy[bytes]:
    match field.type:
        case FieldDescriptor.TYPE_STRING:
            return _texts(known.get(field.name, ())).map(lambda text: _text(field.number, text))
        case FieldDescriptor.TYPE_MESSAGE if field.message_type is not None and depth < DEPTH:
            return _message(field.message_type, known, depth + 1).map(lambda inner: _text(field.number, inner))
        case FieldDescriptor.TYPE_MESSAGE:
            return st.just(_tag(field.number, LENGTH) + _nested(field.number, TOO_DEEP))
        case FieldDescriptor.TYPE_DOUBLE:
            return st.sampled_from(FLOATS).map(lambda value: _tag(field.number, FIXED64) + struct.pack("<d", value))
        case _:  # bool, int32, int64 and enum; what comes as another kind is an unknown field, and those are sent, too
            return st.sampled_from(NUMBERS).map(lambda value: _tag(field.number, VARINT) + _varint(value))


def _texts(known: Sequence[str]) -> st.SearchStrategy[bytes]:
    odd = st.sampled_from(TEXTS).map(str.encode) | st.sampled_from(ODD_BYTES) | st.text(max_size=12).map(str.encode)
    good = st.sampled_from(known).map(str.encode) if known else odd
    return good | good | odd


def _nested(number: int, levels: int) -> bytes:
    inner = b""
    for _ in range(levels):
        inner = _tag(number, LENGTH) + _sized(inner)
    return _sized(inner)


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _text(number: int, content: bytes) -> bytes:
    return _tag(number, LENGTH) + _sized(content)


def _sized(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Negative numbers take ten bytes, as in protobuf."""
    value &= 2**64 - 1
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes((*digits, value))
