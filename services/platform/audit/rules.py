"""What is recorded of a call, from the protos. Decisions without I/O."""

import re
from enum import Enum
from functools import cache

import grpc
from convergence.access.v1 import access_pb2
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

_PATH_FIELD = re.compile(r"\{(\w+)")
_NAMEABLE = re.compile(r"[A-Za-z0-9_.:-]{1,40}")
"""Ids, names of pipelines and months. API keys are longer (49 characters and more), so that one in a wrong place is not recorded."""
_REFUSED = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED})
_UNCERTAIN = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
    }
)
"""After these, what was asked for may have been done."""
FOREIGN_PEER = "CALLER_DENIED"


class Recording(Enum):
    """How a call is recorded."""

    EACH = "an entry of its own"
    COUNTED = "counted with its like"
    NOT = "not at all"


@cache
def changes_something(method: MethodDescriptor) -> bool:
    """True for a public RPC of any verb but GET, unless its proto says why it is not recorded."""
    verb = _verb(method)
    return verb is not None and verb != "get" and not _option(method).not_recorded_because


def recording(method: MethodDescriptor, code: grpc.StatusCode, reason: str, *, is_served: bool) -> Recording:
    """How a call that ended with this code and reason is recorded. `is_served`: it was let in, and its servicer was called.

    What is refused by a limit, or for a bad field, has changed nothing. Nor has a call that was never served, even if it ended in
    UNAVAILABLE: otherwise unknown callers could fill the log while auth does not answer.
    """
    if _verb(method) is None:
        # Peers' own calls are not recorded, but a peer that tries a call of another is.
        return Recording.COUNTED if reason == FOREIGN_PEER else Recording.NOT
    if not changes_something(method):
        return Recording.COUNTED if code in _REFUSED else Recording.NOT
    is_done = is_served and (code is grpc.StatusCode.OK or code in _UNCERTAIN)
    return Recording.EACH if is_done else Recording.COUNTED


def resource_of(method: MethodDescriptor, request: Message, answer: Message | None) -> str:
    """Names what was changed, e.g. `provider=gcp/domain=cost/template=billing/pipeline_logging_id=...`: the path's fields but the tenant,
    those that the proto adds, and the first id in the response, if it is another; of the response also the fields that the proto names,
    such as `keys_revoked=2`. Any value that cannot be an id or a name is `?`.
    """
    names = [name for name in (*path_fields(method), *_option(method).resource_fields) if name != "tenant_id"]
    found = [(name, str(getattr(request, name))) for name in names]
    if answer is not None and (given := given_id(method)) is not None:
        found.append((given, str(getattr(answer, given))))
    if answer is not None:
        found += [(name, value) for name in _option(method).answer_fields for value in _values(answer, name)]
    return "/".join(dict.fromkeys(f"{name}={value if _NAMEABLE.fullmatch(value) else '?'}" for name, value in found))


def path_fields(method: MethodDescriptor) -> list[str]:
    """The fields of the REST path, in order."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    return _PATH_FIELD.findall(getattr(rule, rule.WhichOneof("pattern")))


def given_id(method: MethodDescriptor) -> str | None:
    """The field of the response that names what was made: its first id that is neither the tenant's nor a user's."""
    ids = (field.name for field in method.output_type.fields if field.name.endswith("_id") and not field.is_repeated)
    return next((name for name in ids if name not in {"tenant_id", "user_id"}), None)


def _values(answer: Message, name: str) -> list[str]:
    value = getattr(answer, name)
    return [str(one) for one in value] if answer.DESCRIPTOR.fields_by_name[name].is_repeated else [str(value)]


@cache
def _verb(method: MethodDescriptor) -> str | None:
    options = method.GetOptions()
    verb: str | None = options.Extensions[annotations_pb2.http].WhichOneof("pattern")
    return verb


def _option(method: MethodDescriptor) -> access_pb2.Audit:
    option: access_pb2.Audit = method.GetOptions().Extensions[access_pb2.audit]
    return option
