"""One entry of the audit log, before it is part of a chain."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum

from convergence.auth.v1 import audit_entry_pb2

from services.platform.timestamps import to_datetime, to_timestamp

PLATFORM = "-"
"""The chain of entries that concern no single tenant. It is not a valid tenant id."""
SEVERAL = "*"
"""Takes the place of an action if there were several."""


class ActorKind(StrEnum):
    """By what credential the caller is known."""

    API_KEY = "API_KEY"
    SESSION_TOKEN = "SESSION_TOKEN"  # noqa: S105
    ADMIN_KEY = "ADMIN_KEY"
    OIDC = "OIDC"
    SERVICE = "SERVICE"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditEntry:
    """Its fields are those of the proto and the columns of the table, which say what they mean. Text that is unknown is empty."""

    entry_id: str
    chain: str
    time: datetime
    action: str
    outcome: str
    count: int = 1
    resource: str = ""
    actor_kind: str = ActorKind.UNKNOWN
    actor_id: str = ""
    actor_role: str = ""
    user_id: str = ""
    request_id: str = ""
    client_address: str = ""

    def to_proto(self) -> audit_entry_pb2.AuditEntry:
        """As it is sent to auth."""
        return audit_entry_pb2.AuditEntry(**{**asdict(self), "time": to_timestamp(self.time)})

    @classmethod
    def from_proto(cls, sent: audit_entry_pb2.AuditEntry) -> "AuditEntry":
        """As auth receives it. Raises ValueError for a time outside the years 1 to 9999."""
        return cls(**{**{field.name: getattr(sent, field.name) for field in fields(cls)}, "time": to_datetime(sent.time)})
