"""What the ledger's table said about leases, kept for as long as the table has not changed. Pure: versions and times are passed in.

Executors ask every few seconds whether their runs keep their reservations and whether others have expired. Only a change of the table, or
time, can change the answers. A version (`TableVersions`) is read after the question, and before the statement whose result is kept with it.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from services.auth.store import StoredLease
from services.platform.bigquery.table_versions import Version

LONGEST_UNREAD = timedelta(minutes=15)
"""After this time the table is read, whatever its version."""


class LeaseMemory:
    """All reservations in the table, as they were read last."""

    def __init__(self, lease: timedelta) -> None:
        """`lease`: how long a new lease lasts."""
        self._lease = lease
        self._version: Version | None = None
        self._read_at: datetime | None = None
        self._as_of: datetime | None = None
        self._leases = dict[str, StoredLease]()

    def is_current(self, version: Version | None, now: datetime) -> bool:
        """True if the table is as it was read last. `version` was read after `now`."""
        if self._read_at is None or version is None or version != self._version or now - self._read_at >= LONGEST_UNREAD:
            return False
        self._as_of = now
        return True

    def keep(self, version: Version | None, now: datetime, leases: Iterable[StoredLease]) -> None:
        """Keeps the result of a statement. The order was: `now` was taken, `version` was read, the statement was sent."""
        self._version, self._read_at, self._as_of = version, now, now
        self._leases = {one.reservation_id: one for one in leases}

    def held(self, ids: Collection[str], now: datetime) -> frozenset[str]:
        """Those of `ids` whose lease has not expired."""
        return frozenset(one for one in ids if (lease := self._leases.get(one)) is not None and lease.lease_expires_at > now)

    def expired(self, now: datetime) -> list[StoredLease]:
        """The reservations whose lease has expired, the oldest first."""
        expired = (one for one in self._leases.values() if one.lease_expires_at <= now)
        return sorted(expired, key=lambda one: (one.lease_expires_at, one.reservation_id))

    def rules_out_expired(self, now: datetime) -> bool:
        """True if no lease can have expired, even if the table has changed. Since the last reading, leases can only have been removed,
        extended or created, and a new lease lasts for `lease`.
        """
        if self._as_of is None or self._read_at is None or now - self._read_at >= LONGEST_UNREAD:
            return False
        return now < self._as_of + self._lease and not self.expired(now)
