"""What the ledger's tables said about tenants' usage, so that few questions wait for BigQuery. Pure but for its clock.

How old an answer from this memory can be
    1. A tenant's row is used for `seconds` after the start of the reading that showed it, or of one that showed an unchanged version of the
       tables: then nothing was committed in between (`TableVersions`). So a change by another process, or by hand, shows after `seconds` at
       most. Usually it shows much sooner: after a part of that time the reader reads again, in the background. No question waits for this
       reading, or for other tenants' changes.
    2. A change by this process shows at once: it is applied to the row (`own_changes`) before its caller is answered. So this process never
       shows less than the ledger has answered it. If only a reading can show the result, the row is forgotten, or all rows are (`doubt`),
       and the next question waits for a reading.
    3. A reading may or may not have seen a change that was in flight meanwhile. Such changes are applied to its result, too. If the result
       already has them, this changes nothing. If an id was reserved and settled meanwhile, the result is not kept.
    4. Time alone changes two things: the day, and which leases have expired. A day's rows are used on that day, and a row until the first
       of its leases ends.
Rows that are streamed into the tables change the version late. So no row is used for longer than LONGEST_UNREAD without a new reading.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.auth.quota import Usage
from services.auth.usage.own_changes import Change, after
from services.platform.bigquery.table_versions import Version
from services.platform.clock import utc_day

LONGEST_UNREAD = timedelta(minutes=1)
MAX_TENANTS = 10_000
PARTS = 6
"""The time for which a row is used is divided into this many parts. After the first part, the row is read again in the background."""


@dataclass(kw_only=True, slots=True)
class _Row:
    usage: Usage
    version: Version | None
    read_at: datetime
    confirmed_at: float
    """Monotonic seconds: the start of the reading that showed this row, or that showed it unchanged."""


@dataclass(kw_only=True, slots=True, eq=False)
class OwnChange:
    """A statement of this process that changes rows of these tenants. It is noted from before it is sent until it is answered."""

    ids: frozenset[tuple[str, str]]
    """Tenant and reservation."""
    is_settling: bool
    answered: list[Change] | None = None
    """What is known to have changed; None: it was not answered, or not well."""

    def concerns(self, tenant_id: str) -> bool:
        """Whether the tenant has one of the ids."""
        return any(one == tenant_id for one, _ in self.ids)


@dataclass(kw_only=True, slots=True, eq=False)
class Reading:
    """A look at the tables that has begun, and what this process has changed since."""

    asked_at: float
    now: datetime
    changes: list[OwnChange] = field(default_factory=list)
    doubted: set[str | None] = field(default_factory=set)
    """Tenants; None: all."""


class UsageMemory:
    """Of at most MAX_TENANTS tenants; with more, all are read again."""

    def __init__(self, *, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`seconds`: as in step 1; 0: each question waits until the tables' version is read."""
        self._seconds, self._monotonic = seconds, monotonic
        self._rows = dict[str, _Row]()
        self._asked = dict[str, float]()
        self._in_flight = set[OwnChange]()
        self._readings = set[Reading]()

    def doubt(self, tenant_id: str | None = None) -> None:
        """This process has changed the tenant's rows, or may have; None: any tenant's. The result of a reading in flight is not kept for
        them.
        """
        if tenant_id is None:
            self._rows.clear()
        else:
            self._rows.pop(tenant_id, None)
        for reading in self._readings:
            reading.doubted.add(tenant_id)

    def moment(self) -> float:
        """Now, for `forget_older`."""
        return self._monotonic()

    def forget_older(self, tenant_ids: Iterable[str], *, than: float) -> None:
        """The rows of these tenants that were read and confirmed before `than`."""
        for tenant_id in tenant_ids:
            if (row := self._rows.get(tenant_id)) is not None and row.confirmed_at < than:
                del self._rows[tenant_id]

    def confirmed(self, tenant_id: str, now: datetime, collected: Iterable[Change] = ()) -> Usage | None:
        """The tenant's usage after these further changes, if it was read or confirmed within `seconds`. None also if only a reading can
        show what the changes do.
        """
        self._asked[tenant_id] = self._monotonic()
        row = self._usable(tenant_id, now, LONGEST_UNREAD)
        if row is None or self._monotonic() >= row.confirmed_at + self._seconds:
            return None
        return after(row.usage, collected, row.read_at)

    def is_ageing(self, tenant_id: str) -> bool:
        """True if the tenant's row is to be read again in the background."""
        row = self._rows.get(tenant_id)
        return row is None or self._monotonic() >= row.confirmed_at + self._seconds / PARTS

    def wanted(self, most: int) -> list[str]:
        """The tenants that were asked for within `seconds`, at most so many, the latest first."""
        since = self._monotonic() - self._seconds
        self._asked = {tenant_id: at for tenant_id, at in self._asked.items() if at >= since}
        return sorted(self._asked, key=lambda one: -self._asked[one])[:most]

    @contextmanager
    def reading(self, now: datetime) -> Iterator[Reading]:
        """Around a look at the tables, the version included."""
        reading = Reading(asked_at=self._monotonic(), now=now, changes=list(self._in_flight))
        self._readings.add(reading)
        try:
            yield reading
        finally:
            self._readings.discard(reading)

    @contextmanager
    def changing(self, ids: Iterable[tuple[str, str]], *, is_settling: bool) -> Iterator[list[Change]]:
        """Around a statement that changes these reservations of these tenants. The list is for what is known to have changed; if the block
        raises, nothing is.
        """
        own, changes = OwnChange(ids=frozenset(ids), is_settling=is_settling), list[Change]()
        self._in_flight.add(own)
        for reading in self._readings:
            reading.changes.append(own)
        try:
            yield changes
            own.answered = changes
        finally:
            self._in_flight.discard(own)
            self._make(own)

    def recall(
        self, reading: Reading, version: Version | None, tenant_ids: Collection[str], *, longest: timedelta = LONGEST_UNREAD
    ) -> Mapping[str, Usage]:
        """The rows of these tenants that were read less than `longest` ago. `version` was read within `reading`."""
        if version is None:
            return {}
        found = dict[str, Usage]()
        for tenant_id in tenant_ids:
            row = self._usable(tenant_id, reading.now, longest)
            if row is not None and row.version == version:
                row.confirmed_at = max(row.confirmed_at, reading.asked_at)
                found[tenant_id] = row.usage
        return found

    def keep(self, reading: Reading, version: Version | None, usages: Iterable[Usage]) -> None:
        """Keeps the result of a statement that was sent within `reading`, after `version` was read."""
        for usage in usages:
            known = self._rows.get(usage.tenant_id)
            is_newer = known is not None and known.confirmed_at > reading.asked_at
            if is_newer or not reading.doubted.isdisjoint({None, usage.tenant_id}):
                continue
            # A change in flight is applied to the row later. If it is a settlement, the row may no longer have the id by then.
            changes = [one for one in reading.changes if one.concerns(usage.tenant_id)]
            if _is_mixed(changes) or any(one.is_settling and one in self._in_flight for one in changes):
                continue
            made = _made(usage, [one for one in changes if one not in self._in_flight], reading.now)
            if made is None:
                continue
            if len(self._rows) >= MAX_TENANTS:
                self._rows.clear()
            self._rows[usage.tenant_id] = _Row(usage=made, version=version, read_at=reading.now, confirmed_at=reading.asked_at)

    def _make(self, change: OwnChange) -> None:
        for tenant_id in {tenant_id for tenant_id, _ in change.ids}:
            if (row := self._rows.get(tenant_id)) is None:
                continue
            made = _made(row.usage, [change], row.read_at)
            if made is None:
                del self._rows[tenant_id]
            else:
                row.usage = made

    def _usable(self, tenant_id: str, now: datetime, longest: timedelta) -> _Row | None:
        row = self._rows.get(tenant_id)
        if row is None or row.usage.usage_date != utc_day(now) or now - row.read_at >= longest:
            return None
        ends = (ends for _, ends in row.usage.live_runs if ends is not None and ends > row.read_at)
        return None if (first := min(ends, default=None)) is not None and first <= now else row


def _made(usage: Usage, changes: Iterable[OwnChange], read_at: datetime) -> Usage | None:
    made: Usage | None = usage
    for change in changes:
        if change.answered is None:
            return None
        made = after(made, (one for one in change.answered if one.tenant_id == usage.tenant_id), read_at)
    return made


def _is_mixed(changes: Iterable[OwnChange]) -> bool:
    """True if an id was reserved and settled."""
    ids = dict[bool, set[tuple[str, str]]]({False: set(), True: set()})
    for own in changes:
        ids[own.is_settling] |= own.ids
    return not ids[False].isdisjoint(ids[True])
