"""Refuses a REST body with fields that the request does not have. The gateway's transcoder drops such fields silently: a misspelt
`expires_at` would create a key that never expires.
"""

import re
from collections.abc import Awaitable, Iterable
from functools import cache
from typing import Any
from urllib.parse import unquote

from google.api import annotations_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from services.platform.errors import InvalidArgument
from services.platform.rpc.calls import Call, Rpc, Step

HEADER = "x-internal-body-fields"
"""The body's top-level keys, set by configs/envoy/lua/body_fields.lua in the gateway. A native gRPC call has no such header: it cannot lose
fields.
"""


@cache
def body_fields(method: MethodDescriptor) -> tuple[FieldDescriptor, ...] | None:
    """Fields that a REST body of `method` may have; None: any, because the body is a Struct, which arrives complete."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    if rule.body in {"", "*"}:  # "" as with GET: the transcoder accepts a body there, too, and reads it as if it were "*"
        in_path = re.findall(r"\{(\w+)", getattr(rule, rule.WhichOneof("pattern")))
        return tuple(field for field in method.input_type.fields if field.name not in in_path)
    message = method.input_type.fields_by_name[rule.body].message_type
    return None if message is None or message.full_name == "google.protobuf.Struct" else tuple(message.fields)


def check_body_fields(method: MethodDescriptor, named: Iterable[str]) -> None:
    """Raises InvalidArgument for the first name that the body may not have. A field has two names: the proto's, and its camelCase form in
    JSON.
    """
    fields = body_fields(method)
    if fields is None:
        return
    known = {name for field in fields for name in (field.name, field.json_name)}
    for name in named:
        if name not in known:
            takes = f". It takes {', '.join(field.name for field in fields)}." if fields else ", which takes none."
            raise InvalidArgument(name, f"is no field of this request's body{takes}")


def only_known_body_fields(rpc: Rpc, proceed: Step) -> Step:
    """The interceptor that checks the header."""
    method = rpc.method
    if method is None:
        return proceed

    def checked(call: Call) -> Awaitable[Any]:
        if HEADER in call.metadata:
            check_body_fields(method, (unquote(name) for name in call.metadata[HEADER].split(",")))
        return proceed(call)

    return checked
