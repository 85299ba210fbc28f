"""Values that protobuf carries and that what stands behind us cannot: refused for every RPC, before a servicer sees them.

What protobuf itself refuses never gets here: text that is not UTF-8, such as a lone surrogate, and messages nested more than a hundred
deep.
"""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from services.platform.errors import InvalidArgument

MAX_PATH = 200
"""Characters of a path that an error message repeats: names in a Struct may be of any length."""
MAX_VALUES = 10_000
"""Values of a public request, those in Structs and lists included: beyond it a request would cost more to look through than to serve."""
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
"""Of a timestamp, so that a time zone or a day added to it leads to another one."""


def check_values(message: Message, *, path: str = "", most: int | None = None) -> None:
    """Raises InvalidArgument, naming the value by its path, e.g. `parameters.limits[2]`, for numbers that are NaN or infinite, texts with a
    NUL character, and timestamps outside the years 1970 to 9999; and for more than `most` values.
    """
    for number, (name, value) in enumerate(_values(message, path)):
        if number == most:
            raise InvalidArgument("request", f"has more than {most:,} values. Send less at once.")
        match value:
            case float() if not math.isfinite(value):
                raise InvalidArgument(name[:MAX_PATH], "is not a number that JSON has. Use a finite one.")
            case str() if "\0" in value:
                raise InvalidArgument(name[:MAX_PATH], "has a NUL character. Leave it out.")
            case Timestamp() if not EARLIEST.timestamp() <= value.seconds < LATEST.timestamp() or not 0 <= value.nanos < 10**9:
                raise InvalidArgument(name[:MAX_PATH], "give a time from 1970 to 9999, such as 2026-12-31T23:59:59Z.")


def _values(message: Message, path: str) -> Iterator[tuple[str, Any]]:
    """All single values of a message that are set, each with its path; a name in a Struct is a value, too."""
    match message:
        case Timestamp():
            yield path, message
        case Struct():
            for name, inner in message.fields.items():
                inside = f"{path}.{name}" if path else name
                yield inside, name
                yield from _values(inner, inside)
        case ListValue():
            for place, inner in enumerate(message.values):
                yield from _values(inner, f"{path}[{place}]")
        case Value():
            kind = message.WhichOneof("kind")
            held: Any = getattr(message, kind) if kind else None
            yield from _values(held, path) if isinstance(held, Message) else [(path, held)]
        case _:
            for field, value in message.ListFields():
                yield from _of_field(field, value, f"{path}.{field.name}" if path else field.name)


def _of_field(field: FieldDescriptor, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    if is_map:
        entries: Iterator[tuple[str, Any]] = ((f"{path}.{name}", each) for name, each in value.items())
        yield from ((path, name) for name in value)
    elif field.is_repeated:
        entries = ((f"{path}[{place}]", each) for place, each in enumerate(value))
    else:
        entries = iter([(path, value)])
    for name, each in entries:
        yield from _values(each, name) if isinstance(each, Message) else [(name, each)]
