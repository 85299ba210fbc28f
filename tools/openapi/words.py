"""Enums of words: texts that are one of a few, and the reasons of errors."""

import re
from typing import Any

from convergence.contract.v1 import contract_pb2
from google.protobuf.descriptor_pb2 import EnumDescriptorProto

from tools.openapi.protos import Protos


def words(enum: EnumDescriptorProto) -> dict[str, str]:
    """The words of an enum, each with the name of its value. Raises ValueError for a value that lacks the enum's prefix."""
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
    is_lower = enum.options.Extensions[contract_pb2.lower_case]
    found = {}
    for value in list(enum.value)[1:]:
        if not value.name.startswith(prefix):
            raise ValueError(f"{enum.name}: {value.name} lacks the prefix {prefix}")
        word = value.name.removeprefix(prefix)
        found[word.lower() if is_lower else word] = value.name
    return found


def word_schema(protos: Protos, name: str) -> dict[str, Any]:
    """The schema of an enum's words. `name`: the enum's, with a leading dot. What each word means is in the description, as a list."""
    found = words(protos.enums[name])
    meanings = "\n".join(f"- `{word}`: {protos.comment(f'{name}.{value}')}" for word, value in found.items())
    return {"type": "string", "description": f"{protos.comment(name)}\n\n{meanings}", "enum": list(found)}
