"""The audit log of a tenant's credentials: rows of the tenant's `x_meta_step_logs`."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """The audited action."""

    CREDENTIAL_ADDED = "CREDENTIAL_ADDED"
    CREDENTIAL_UPDATED = "CREDENTIAL_UPDATED"
    CREDENTIAL_DELETED = "CREDENTIAL_DELETED"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRow:
    """One audited action. Its fields are columns."""

    log_id: str
    """Created once, so that a replay is recognised as the same action."""
    tenant_id: str
    user_id: str | None
    action: Action
    provider: str
    timestamp: datetime


def audit_row(action: Action, *, tenant_id: str, provider: str, user_id: str | None, at: datetime) -> AuditRow:
    """A row with a new id."""
    return AuditRow(log_id=str(uuid.uuid4()), tenant_id=tenant_id, user_id=user_id, action=action, provider=provider, timestamp=at)
