"""Refuses a REST body that names what the request does not take. The gateway's transcoder drops such names in silence, so that a misspelt
`expires_at` would make a key that never expires.
"""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from urllib.parse import unquote

from google.api import annotations_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from services.platform.errors import InvalidArgument
from services.platform.rpc.calls import Call

HEADER = "x-internal-body-fields"
"""The body's outermost keys, from the gateway's configs/envoy/body_fields.lua. A native gRPC call has no such header: nothing of it was
dropped.
"""


@cache
def body_fields(method: MethodDescriptor) -> tuple[FieldDescriptor, ...] | None:
    """What a REST body of `method` may name; None if that is anything, because the body is a Struct, which reaches the servicer whole."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    if rule.body in {"", "*"}:  # "" as with GET: the transcoder takes a body there too, and reads it as if it were "*"
        in_path = re.findall(r"\{(\w+)", getattr(rule, rule.WhichOneof("pattern")))
        return tuple(field for field in method.input_type.fields if field.name not in in_path)
    message = method.input_type.fields_by_name[rule.body].message_type
    return None if message is None or message.full_name == "google.protobuf.Struct" else tuple(message.fields)


def check_body_fields(method: MethodDescriptor, named: Iterable[str]) -> None:
    """Raises InvalidArgument for the first name that the body may not have. A field has two: as in the proto and, as JSON likes it, in
    camelCase.
    """
    fields = body_fields(method)
    if fields is None:
        return
    known = {name for field in fields for name in (field.name, field.json_name)}
    for name in named:
        if name not in known:
            takes = f". It takes {', '.join(field.name for field in fields)}." if fields else ", which takes none."
            raise InvalidArgument(name, f"is no field of this request's body{takes}")


@asynccontextmanager
async def only_known_body_fields(call: Call) -> AsyncIterator[None]:
    """The step that checks what the gateway says of the body."""
    if call.method is not None and HEADER in call.metadata:
        check_body_fields(call.method, (unquote(name) for name in call.metadata[HEADER].split(",")))
    yield
