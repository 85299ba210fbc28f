"""`google.protobuf.Struct` to Python."""

import math
from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct, Value

from services.platform.errors import InvalidArgument

MAX_PATH = 200
"""Characters of a path that an error message repeats: names in a Struct may be of any length."""


def to_mapping(struct: Struct, field: str) -> dict[str, Any]:
    """The struct as JSON values; all numbers are floats, as in a Struct.

    Raises InvalidArgument for NaN and infinities, which JSON lacks and only a native gRPC client can send. The error names the value by its
    path from `field`, e.g. `parameters.limits[2]`.
    """
    for name, value in struct.fields.items():
        for path, number in _numbers(value, f"{field}.{name}"):
            if not math.isfinite(number):
                raise InvalidArgument(path[:MAX_PATH], "is not a number that JSON has. Use a finite one.")
    values: dict[str, Any] = json_format.MessageToDict(struct)
    return values


def _numbers(value: Value, path: str) -> Iterable[tuple[str, float]]:
    match value.WhichOneof("kind"):
        case "number_value":
            yield path, value.number_value
        case "struct_value":
            for name, inner in value.struct_value.fields.items():
                yield from _numbers(inner, f"{path}.{name}")
        case "list_value":
            for place, inner in enumerate(value.list_value.values):
                yield from _numbers(inner, f"{path}[{place}]")
