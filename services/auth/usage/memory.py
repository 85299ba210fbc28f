"""What the ledger's tables said about tenants' usage, kept for as long as the tables have not changed. Pure but for its clock.

How old an answer from this memory can be
    1. It is used if the tables' version, read after the question, is the one that was read before the statement whose result is kept. So
       nothing was committed in between: the answer is what a statement would say. See `TableVersions`.
    2. For `seconds` after such a reading the version is taken to be the same. So a change by another process, or by hand, shows after
       `seconds` at most. When half of that time is over, the reader reads again in the background, so that no question waits for it.
    3. Not so a change by this process: each one that it makes ends step 2 before its caller gets an answer (`doubt`), and a reading of the
       version that was on its way then confirms nothing. So this process never shows less than it has answered itself.
    4. Time alone changes two things: the day, and which leases have expired. A day's rows are used on that day, and a row until the first
       of its leases ends.
Rows that are streamed into the tables show in the version late, so nothing is used for longer than LONGEST_UNREAD.
"""

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta

from services.auth.quota import Usage
from services.platform.bigquery.table_versions import Version
from services.platform.clock import utc_day

LONGEST_UNREAD = timedelta(minutes=1)
MAX_TENANTS = 10_000


class UsageMemory:
    """Of at most MAX_TENANTS tenants; with more, all are read again."""

    def __init__(self, *, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`seconds`: as in step 2; 0: the version is read for each question."""
        self._seconds, self._monotonic = seconds, monotonic
        self._version: Version | None = None
        self._usages = dict[str, tuple[datetime, Usage]]()
        self._unconfirmed_from = -math.inf
        self._doubts = 0

    @property
    def doubts(self) -> int:
        """How often this process has changed the tables."""
        return self._doubts

    def doubt(self) -> None:
        """This process has changed the tables, or may have."""
        self._doubts += 1
        self._unconfirmed_from = -math.inf

    def confirmed(self, tenant_id: str, now: datetime) -> Usage | None:
        """The tenant's usage, if the version was read within `seconds`."""
        return self._usage(tenant_id, now) if self._monotonic() < self._unconfirmed_from else None

    def is_ageing(self) -> bool:
        """True if half of the time since the version was read is over."""
        return self._monotonic() >= self._unconfirmed_from - self._seconds / 2

    def recall(self, version: Version | None, tenant_ids: Collection[str], now: datetime) -> Mapping[str, Usage]:
        """What is known of these tenants. `version` was read after the question."""
        if version is None or version != self._version:
            return {}
        return {one: usage for one in tenant_ids if (usage := self._usage(one, now)) is not None}

    def keep(self, version: Version | None, now: datetime, usages: Iterable[Usage]) -> None:
        """Keeps the result of a statement that was sent after `version` was read, and that after `now`."""
        if version is None:
            return
        if version != self._version or len(self._usages) >= MAX_TENANTS:
            self._version, self._usages, self._unconfirmed_from = version, {}, -math.inf
        self._usages |= {usage.tenant_id: (now, usage) for usage in usages}

    def confirm(self, version: Version | None, *, asked_at: float, doubts: int) -> None:
        """`version` was read from `asked_at` (monotonic seconds) on, when `doubts` was as given."""
        if version is not None and version == self._version and doubts == self._doubts:
            self._unconfirmed_from = max(self._unconfirmed_from, asked_at + self._seconds)

    def _usage(self, tenant_id: str, now: datetime) -> Usage | None:
        read_at, usage = self._usages.get(tenant_id, (now, None))
        if usage is None or usage.usage_date != utc_day(now) or now - read_at >= LONGEST_UNREAD:
            return None
        return None if usage.first_lease_ends_at is not None and usage.first_lease_ends_at <= now else usage
