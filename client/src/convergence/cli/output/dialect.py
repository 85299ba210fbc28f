"""Messages as the REST interface prints them, so that what was written for `curl | jq` works here, too. Pure."""

import json
from typing import Any

from convergence.cli.output.printable import escaped
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message


def as_dict(message: Message) -> dict[str, Any]:
    """Field names in snake_case, 64-bit integers as text, times in RFC 3339; what is not set and has no presence is there all the same."""
    found: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    return found


def as_json(value: object, *, indent: int | None = None) -> str:
    """`value`: of dicts, lists, texts and numbers. One line, unless `indent` says otherwise. No character in it controls a terminal."""
    return escaped(json.dumps(value, ensure_ascii=False, indent=indent))
