"""Auth's settings, in addition to those of all services."""

from pydantic import Field

from services.platform.environment.values import Listen
from services.platform.settings import AuditDays, QuotaDays, ServiceSettings


class AuthSettings(ServiceSettings):
    """All times are in seconds."""

    listen: Listen = "0.0.0.0:50051"
    key_usage_seconds: float = Field(default=3600.0, gt=0)
    """How often it is recorded when keys were last used. This changes the keys' table, so every auth process then reads its keys anew."""
    key_memory_seconds: float = Field(default=300.0, ge=0)
    """How long what the tables say about keys is kept while the tables do not change; 0: every look-up is a statement."""
    quota_known_seconds: float = Field(default=3.0, ge=0, le=10)
    """How old a tenant's row may be from which GetQuota answers, as far as others have changed it; changes by this process show at once.
    While it is asked for, it is read again in the background after a sixth of that.
    """
    reserve_gather_seconds: float = Field(default=1.0, ge=0, le=10)
    """Minimum time between batches of reservations: a table accepts 2.5 statements a second from all processes together. The first after an
    idle period does not wait.
    """
    audit_gather_seconds: float = Field(default=5.0, ge=0, le=30)
    """Minimum time between transactions that append to the audit log. The first after an idle period does not wait."""
    audit_days: AuditDays = 400
    """UTC days for which entries of the audit log are kept."""
    quota_days: QuotaDays = 90
    """Days for which the ledger's rows are kept; the daily reset deletes older ones."""
    settle_gather_seconds: float = Field(default=10.0, ge=0, le=30)
    """Batch window for settling ended runs; as long as the Retry-After of a concurrent-limit refusal. The first after an idle period is
    sent at once.
    """
