"""Checks the fields that the proto marks REQUIRED, every `tenant_id`, and every value, before a servicer runs."""

from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.message import Message

from services.platform.errors import InvalidArgument
from services.platform.identifiers import check_tenant_id
from services.platform.rpc.calls import Call, Interceptor, Rpc, Step
from services.platform.rpc.rules import rule_of
from services.platform.rpc.values import MAX_VALUES, check_values
from services.platform.settings import ServiceSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedField:
    """A field that has to be looked at in every message. Asking the descriptor each time costs more than all else here."""

    name: str
    is_required: bool
    has_presence: bool
    is_repeated: bool
    is_ours: bool
    """A message of our own protos, with fields to check."""


def check_fields(message: Message, *, reserved: frozenset[str], path: str = "") -> None:
    """Raises InvalidArgument, naming the field's path, for the first empty REQUIRED field (and the others) or invalid tenant_id."""
    for field in _checked_fields(message.DESCRIPTOR):
        name = f"{path}{field.name}"
        if field.is_required and not _is_set(message, field):
            raise InvalidArgument(name, f"is required{_so_are(message, field, path)}.")
        # An empty one that is not required is a filter of an operator's list: all tenants.
        if field.name == "tenant_id" and _is_set(message, field):
            check_tenant_id(getattr(message, field.name), reserved)
        if not field.is_ours:
            continue
        if field.is_repeated:
            for index, entry in enumerate(getattr(message, field.name)):
                check_fields(entry, reserved=reserved, path=f"{name}[{index}].")
        elif message.HasField(field.name):
            check_fields(getattr(message, field.name), reserved=reserved, path=f"{name}.")


def _so_are(message: Message, first: CheckedField, path: str) -> str:
    """The other REQUIRED fields that are empty: a caller need not find them one by one."""
    fields = _checked_fields(message.DESCRIPTOR)
    others = [f"{path}{one.name}" for one in fields if one.is_required and one is not first and not _is_set(message, one)]
    return f", and so {'is' if len(others) == 1 else 'are'} {', '.join(others)}" if others else ""


def validation(settings: ServiceSettings) -> Interceptor:
    """The interceptor that checks a request's fields."""
    reserved = frozenset((settings.control_dataset, *settings.reserved_tenant_ids))

    def validate(rpc: Rpc, proceed: Step) -> Step:
        most = MAX_VALUES if rpc.method is not None and _is_public(rpc.method) else None

        def validated(call: Call) -> Awaitable[Any]:
            check_values(call.request, most=most)
            check_fields(call.request, reserved=reserved)
            return proceed(call)

        return validated

    return validate


def _is_public(method: MethodDescriptor) -> bool:
    """Peers ask about many runs at once, and check their own requests."""
    rule = rule_of(method)
    return rule is None or rule.WhichOneof("caller") != "service"


@cache
def _checked_fields(message: Descriptor) -> tuple[CheckedField, ...]:
    fields = [
        CheckedField(
            name=field.name,
            is_required=field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior],
            has_presence=field.has_presence,
            is_repeated=field.is_repeated,
            is_ours=field.message_type is not None and field.message_type.file.package != "google.protobuf",
        )
        for field in message.fields
    ]
    return tuple(field for field in fields if field.is_required or field.is_ours or field.name == "tenant_id")


def _is_set(message: Message, field: CheckedField) -> bool:
    if field.has_presence:
        return message.HasField(field.name)
    return bool(getattr(message, field.name))
