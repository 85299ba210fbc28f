"""`google.protobuf.Struct` to Python."""

from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from services.platform.rpc.values import check_values


def to_mapping(struct: Struct, field: str) -> dict[str, Any]:
    """The struct as JSON values; all numbers are floats, as in a Struct.

    Raises InvalidArgument for what `check_values` refuses, by its path from `field`. Of a request it has been refused before.
    """
    check_values(struct, path=field)
    values: dict[str, Any] = json_format.MessageToDict(struct)
    return values
