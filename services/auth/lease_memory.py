"""What the ledger's table said about leases, kept for as long as the table has not changed. Pure: versions and times are passed in.

Executors ask every few seconds whether their runs keep their reservations and whether others have expired. Only a change of the table, or
time, can change the answers. Versions are those of `TableVersions`, each read before the statement whose result is kept with it.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from services.platform.bigquery.table_versions import Version

LONGEST_UNREAD = timedelta(minutes=15)
"""After this time expired leases are looked for in the table, whatever its version."""


class LeaseMemory:
    """When the leases of some reservations end."""

    def __init__(self) -> None:
        self._version: Version | None = None
        self._ends = dict[str, datetime | None]()

    def recall(self, version: Version | None, ids: Collection[str]) -> Mapping[str, datetime | None] | None:
        """The ends by id, None for an id that is in no row; or None, if not all of them are known."""
        if version is None or version != self._version or not self._ends.keys() >= set(ids):
            return None
        return {one: self._ends[one] for one in ids}

    def keep(self, version: Version | None, ends: Mapping[str, datetime | None]) -> None:
        """Keeps what a statement has found."""
        if version != self._version:
            self._version, self._ends = version, {}
        self._ends.update(ends)


class ExpiryForecast:
    """Before which time no lease can have expired.

    Since the last reading, or the last time at which the table was unchanged since then, leases have been removed, extended, or made, for
    `lease` from then on. So none ends before the first of those that were there, nor before `lease` has passed.
    """

    def __init__(self, lease: timedelta) -> None:
        self._lease = lease
        self._version: Version | None = None
        self._read_at: datetime | None = None
        self._as_of: datetime | None = None
        self._next_end: datetime | None = None

    def rules_out(self, version: Version | None, now: datetime) -> bool:
        """True if no lease can have expired. `version` was read after `now`."""
        if self._read_at is None or self._as_of is None or now - self._read_at >= LONGEST_UNREAD:
            return False
        if version is not None and version == self._version:
            self._as_of = now
        ends = [self._as_of + self._lease, *([self._next_end] if self._next_end else [])]
        return now < min(ends)

    def note(self, version: Version | None, now: datetime, *, some_expired: bool, next_end: datetime | None) -> None:
        """A statement, sent after `now`, found expired leases or not, and `next_end` as the first end to come."""
        self._version = version
        self._read_at = self._as_of = None if some_expired else now
        self._next_end = next_end
