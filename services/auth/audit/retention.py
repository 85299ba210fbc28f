"""Deletes entries after their time."""

from datetime import timedelta

from services.auth.audit.store import AuditStore
from services.platform.clock import Clock, utc_day
from services.platform.periodic import Periodic

EVERY_SECONDS = 24 * 3600.0


def retention(store: AuditStore, clock: Clock, *, days: int) -> Periodic:
    """Deletes what was appended more than `days` UTC days ago: when its context is entered and once a day. In every auth process: whichever
    comes first deletes, the others find nothing.
    """

    async def delete() -> None:
        await store.delete_before(utc_day(clock.now()) - timedelta(days=days))

    return Periodic("audit_retention", (delete, EVERY_SECONDS))
