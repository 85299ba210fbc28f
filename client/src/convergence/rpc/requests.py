"""From a caller's Python values to a request message."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from convergence.rpc.errors import ConfigurationError, Details, FieldViolation, InvalidArgument
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

RequestMessage = TypeVar("RequestMessage", bound=Message)
PIPELINE = re.compile(r"^([^/]+)/([^/]+)/([^/]+)$")


def request_of(kind: type[RequestMessage], fields: Mapping[str, object], tenant_id: str) -> RequestMessage:
    """A message of `kind`. None leaves a field out; `tenant_id` is taken where the message needs a tenant and `fields` gives none;
    `pipeline`, e.g. `gcp/cost/billing`, fills the fields that it stands for. Raises InvalidArgument for a value of the wrong kind, and
    ConfigurationError if the tenant is missing.
    """
    request = kind()
    for name, value in fields.items():
        if name == "pipeline" and "pipeline" not in request.DESCRIPTOR.fields_by_name:
            for part, text in pipeline_fields(request, value).items():
                setattr(request, part, text)
        elif name == "tenant_id" and value is None and needs_tenant(request):
            if not tenant_id:
                raise ConfigurationError("The call needs a tenant: give it or the client `tenant_id=`, or set CONVERGENCE_TENANT_ID.")
            setattr(request, name, tenant_id)
        elif value is not None:
            put(request, name, value)
    return request


def needs_tenant(request: Message) -> bool:
    """Whether `tenant_id` says whose call it is, and is no filter: it is the first field of every such request."""
    return request.DESCRIPTOR.fields[0].name == "tenant_id" and not request.DESCRIPTOR.name.startswith("ListAll")


def pipeline_fields(request: Message, value: object) -> dict[str, str]:
    """The fields that `provider/domain/template` stands for."""
    match = PIPELINE.match(value) if isinstance(value, str) else None
    if match is None:
        raise bad("pipeline", f"takes `provider/domain/template`, e.g. gcp/cost/billing, not {value!r}.")
    last = "template" if "template" in request.DESCRIPTOR.fields_by_name else "pipeline_template"
    return dict(zip(("provider", "domain", last), match.groups(), strict=True))


def put(request: Message, name: str, value: object) -> None:
    """Sets a field, from what Python has for it."""
    field: Any = getattr(request, name)
    try:
        match field:
            case Struct():
                if not isinstance(value, Mapping):
                    raise bad(name, f"takes a dict, not {type(value).__name__}.")
                field.update({str(key): json_of(item) for key, item in value.items()})
                field.SetInParent()
            case Timestamp():
                if not isinstance(value, datetime) or value.tzinfo is None:
                    raise bad(name, "takes a datetime with a timezone, e.g. datetime(2026, 1, 1, tzinfo=UTC).")
                field.FromDatetime(value)
            case _ if request.DESCRIPTOR.fields_by_name[name].is_repeated:
                if isinstance(value, str):
                    raise bad(name, f"takes a list of strings; write [{value!r}].")
                field.extend(value)
            case str():
                setattr(request, name, text_of(name, value))
            case _:
                setattr(request, name, value)
    except (TypeError, ValueError) as error:
        raise bad(name, f"does not take this value: {type(error).__name__}.") from error


def text_of(name: str, value: object) -> str:
    """A day as YYYY-MM-DD, of a month the first seven characters, a moment as RFC 3339, a number as it is written."""
    match value:
        case datetime() if value.tzinfo is None:
            raise bad(name, "takes a datetime with a timezone, e.g. datetime(2026, 1, 1, tzinfo=UTC).")
        case datetime():
            return value.isoformat()
        case date():
            return value.isoformat()[: 7 if name.endswith("_month") else None]
        case Decimal():
            return f"{value:f}"
        case str():
            return value
    raise bad(name, f"takes text, not {type(value).__name__}.")


def json_of(value: object) -> Any:
    """A value of a Struct: dates become text, at any depth."""
    match value:
        case date():
            return value.isoformat()
        case Mapping():
            return {str(key): json_of(item) for key, item in value.items()}
        case list() | tuple():
            return [json_of(item) for item in value]
        case Decimal():
            return float(value)
    return value


def bad(field: str, description: str) -> InvalidArgument:
    """Refused here, as the server would."""
    violation = FieldViolation(field=field, description=description)
    kind = InvalidArgument.by_reason.get("BAD_FIELD", InvalidArgument)
    error = kind(f"{field}: {description}", Details(reason="BAD_FIELD", field_violations=(violation,)))
    assert isinstance(error, InvalidArgument)  # noqa: S101 - for mypy
    return error
