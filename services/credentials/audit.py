"""Who did what to a tenant's credentials: a row of the tenant's `x_meta_step_logs`."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """What was done."""

    CREDENTIAL_ADDED = "CREDENTIAL_ADDED"
    CREDENTIAL_UPDATED = "CREDENTIAL_UPDATED"
    CREDENTIAL_DELETED = "CREDENTIAL_DELETED"


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRow:
    """One action. Its fields are columns."""

    log_id: str
    """Made once, so that a replay is told from a second action."""
    tenant_id: str
    user_id: str | None
    action: Action
    provider: str
    timestamp: datetime


def audit_row(action: Action, *, tenant_id: str, provider: str, user_id: str | None, at: datetime) -> AuditRow:
    """A row with an id of its own."""
    return AuditRow(log_id=str(uuid.uuid4()), tenant_id=tenant_id, user_id=user_id, action=action, provider=provider, timestamp=at)
