"""Checks the fields that the proto marks REQUIRED, every `tenant_id`, and every value, before a servicer runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from services.platform.errors import InvalidArgument
from services.platform.identifiers import check_tenant_id
from services.platform.rpc.calls import Call, Interceptor
from services.platform.rpc.rules import rule_of
from services.platform.rpc.values import MAX_VALUES, check_values
from services.platform.settings import ServiceSettings


def check_fields(message: Message, *, reserved: frozenset[str], path: str = "") -> None:
    """Raises InvalidArgument, naming the field's path, for the first empty REQUIRED field or invalid tenant_id."""
    for field in message.DESCRIPTOR.fields:
        name = f"{path}{field.name}"
        if _is_required(field) and not _is_set(message, field):
            raise InvalidArgument(name, "is required.")
        # An empty one that is not required is a filter of an operator's list: all tenants.
        if field.name == "tenant_id" and _is_set(message, field):
            check_tenant_id(getattr(message, field.name), reserved)
        if field.message_type is None or field.message_type.file.package == "google.protobuf":
            continue
        if field.is_repeated:
            for index, entry in enumerate(getattr(message, field.name)):
                check_fields(entry, reserved=reserved, path=f"{name}[{index}].")
        elif message.HasField(field.name):
            check_fields(getattr(message, field.name), reserved=reserved, path=f"{name}.")


def validation(settings: ServiceSettings) -> Interceptor:
    """The interceptor that checks a request's fields."""
    reserved = frozenset((settings.control_dataset, *settings.reserved_tenant_ids))

    @asynccontextmanager
    async def validate(call: Call) -> AsyncIterator[None]:
        check_values(call.request, most=MAX_VALUES if call.method is not None and _is_public(call.method) else None)
        check_fields(call.request, reserved=reserved)
        yield

    return validate


def _is_public(method: MethodDescriptor) -> bool:
    """Peers ask about many runs at once, and check their own requests."""
    rule = rule_of(method)
    return rule is None or rule.WhichOneof("caller") != "service"


def _is_required(field: Any) -> bool:
    behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    return field_behavior_pb2.REQUIRED in behaviors


def _is_set(message: Message, field: Any) -> bool:
    if field.has_presence:
        return message.HasField(field.name)
    return bool(getattr(message, field.name))
