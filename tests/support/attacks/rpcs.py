"""Every RPC of the protos, and a request for it that is complete."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from convergence.access.v1 import access_pb2
from google.api import annotations_pb2, field_behavior_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from gateway.settings import GatewaySettings
from services.platform.rpc.rules import rule_of

GOOD: Mapping[str, Any] = {
    "amount": "12.50",
    "billing_account_id": "012345-6789AB-CDEF01",
    "company_name": "Acme",
    "currency": "EUR",
    "domain": "cost",
    "end_date": "2025-11-03",
    "end_month": "2025-11",
    "invoice_month": "2025-11",
    "pipeline_template": "billing",
    "provider": "gcp",
    "schedule_cron": "0 3 * * *",
    "start_date": "2025-11-01",
    "start_month": "2025-11",
    "template": "billing",
}
"""A value that is accepted, of each required field that takes not every text."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rpc:
    """An RPC of the suite: each is made once."""

    method: MethodDescriptor
    rule: access_pb2.Allow
    verb: str
    """HTTP's; empty without a REST binding."""
    template: str
    """The path over REST, e.g. `/api/v1/tenants/{tenant_id}`."""
    body: str
    """The field that is the body over REST, `*` for all that are not in the path."""

    @property
    def path(self) -> str:
        """The path over gRPC."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @property
    def caller(self) -> str:
        """Who may call it: `tenant`, `admin`, `service` or `anyone`."""
        return str(self.rule.WhichOneof("caller"))

    @property
    def streams(self) -> bool:
        """It streams its answers."""
        return bool(self.method.server_streaming)

    @property
    def fields(self) -> Mapping[str, FieldDescriptor]:
        """Of its request, by name."""
        return dict(self.method.input_type.fields_by_name)

    @property
    def id_fields(self) -> list[FieldDescriptor]:
        """The fields of its request that name something else than the tenant."""
        return [field for name, field in self.fields.items() if name.endswith("_id") and name != "tenant_id" and is_text(field)]

    def request(self, **values: Any) -> Message:
        """A request with all required fields, and with those of `values` that it has."""
        message: Message = message_factory.GetMessageClass(self.method.input_type)()
        for name, field in self.fields.items():
            if name in values:
                setattr(message, name, values[name])
            elif is_required(field) and name in GOOD:
                setattr(message, name, GOOD[name])
            elif is_required(field) and is_text(field):
                setattr(message, name, "x")
            elif is_required(field) and field.message_type is not None and not field.is_repeated:
                getattr(message, name).SetInParent()
        return message


def is_text(field: FieldDescriptor) -> bool:
    """One text."""
    return bool(field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated)


def is_required(field: FieldDescriptor) -> bool:
    """The proto says so."""
    return field_behavior_pb2.REQUIRED in field.GetOptions().Extensions[field_behavior_pb2.field_behavior]


@cache
def public_rpcs() -> tuple[Rpc, ...]:
    """All that are for others than the suite's own services."""
    return tuple(rpc for rpc in _all() if rpc.caller != "service")


@cache
def peer_rpcs() -> tuple[Rpc, ...]:
    """All others."""
    return tuple(rpc for rpc in _all() if rpc.caller == "service")


def _all() -> Iterator[Rpc]:
    """Raises ValueError for an RPC without a rule."""
    files = descriptor_pb2.FileDescriptorSet.FromString(GatewaySettings().descriptor.read_bytes()).file
    for file in files:
        if not file.package.startswith("convergence."):
            continue
        import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
        for service in descriptor_pool.Default().FindFileByName(file.name).services_by_name.values():
            for method in service.methods:
                rule = rule_of(method)
                if rule is None:
                    raise ValueError(f"{method.full_name} has no access rule")
                yield _rpc(method, rule)


def _rpc(method: MethodDescriptor, rule: access_pb2.Allow) -> Rpc:
    binding: http_pb2.HttpRule = method.GetOptions().Extensions[annotations_pb2.http]
    verb = binding.WhichOneof("pattern") or ""
    template = getattr(binding, verb) if verb else ""
    return Rpc(method=method, rule=rule, verb=verb.upper(), template=template, body=binding.body)
