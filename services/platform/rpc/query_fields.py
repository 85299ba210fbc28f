"""Refuses query parameters that would have no effect: the gateway's transcoder silently takes the last of two values, lets a query overrule
the path, and drops a name without a value. Unknown names it refuses itself.
"""

import re
from collections.abc import Awaitable
from typing import Any
from urllib.parse import unquote

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor

from services.platform.errors import InvalidArgument
from services.platform.rpc.calls import Call, Rpc, Step

HEADER = "x-envoy-original-path"
"""Path and query as sent by the client, set by the gateway, which removes the header from outside. A native gRPC call has none."""

MAX_NAME = 64
"""Characters of a name that an error message repeats."""


def check_query(method: MethodDescriptor, query: str) -> None:
    """Raises InvalidArgument, naming the field, for the first parameter that would have no effect.

    `query` is the part after the `?`. Names may be percent-encoded, in either of a field's two spellings, and dotted for a field of a
    message. Only a repeated field may occur several times.
    """
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    in_path = set(re.findall(r"\{(\w+)", getattr(rule, rule.WhichOneof("pattern"))))
    seen: list[str] = []
    for parameter in filter(None, query.split("&")):
        written, equals, _ = parameter.partition("=")
        name = unquote(written)[:MAX_NAME]
        if not name:
            raise InvalidArgument("query", "has a value without a name. Write it as name=value.")
        if not equals:
            raise InvalidArgument(name, f"has no value. Write it as {name}=value, or leave it out.")
        field = _resolve(method, name)
        if field is None:
            continue
        path, repeated = field
        if path in in_path:
            raise InvalidArgument(path, "is already in the path. Leave it out of the query.")
        if not repeated and any(f"{path}.".startswith(f"{one}.") or f"{one}.".startswith(f"{path}.") for one in seen):
            raise InvalidArgument(path, "is given twice, in whatever spelling. Give it once.")
        seen.append(path)


def _resolve(method: MethodDescriptor, name: str) -> tuple[str, bool] | None:
    """The field's path as the proto spells it, and whether it is repeated; None if there is no such field."""
    message: Descriptor | None = method.input_type
    names, repeated = list[str](), False
    for segment in name.split("."):
        found = next((field for field in message.fields if segment in {field.name, field.json_name}), None) if message else None
        if found is None:
            return None
        names.append(found.name)
        message, repeated = found.message_type, found.is_repeated
    return ".".join(names), repeated


def only_queries_that_count(rpc: Rpc, proceed: Step) -> Step:
    """The interceptor that checks a REST call's query."""
    method = rpc.method
    if method is None:
        return proceed

    def checked(call: Call) -> Awaitable[Any]:
        if query := call.metadata.get(HEADER, "").partition("?")[2]:
            check_query(method, query)
        return proceed(call)

    return checked
