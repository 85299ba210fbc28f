"""The quota ledger: requests that arrive while a statement is in flight share the next one."""

import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from services.auth.lease_memory import LeaseMemory
from services.auth.quota import LIVE_FOR, RESERVED_FOR, Usage
from services.auth.settings import AuthSettings
from services.auth.store import AuthStore, ReservationRequest, Settlement, StoredLease
from services.auth.usage.memory import UsageMemory
from services.auth.usage.reader import UsageReader
from services.auth.usage.reserver import Reservation, Reserver
from services.platform.bigquery.table_versions import Version
from services.platform.clock import Clock, utc_day
from services.platform.group_commit import GroupCommit
from services.platform.metrics.tenants import quota_decision

MAX_EXPIRED = 1_000
"""Number of expired reservations in one response."""
NOT_STARTED = "NOT_STARTED"
URGENT = frozenset({"CANCELLED", NOT_STARTED})


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewal:
    """The result of a renewal."""

    held: frozenset[str]
    """The ids that still hold a reservation."""
    lease_expires_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Reset:
    """The result of a daily reset."""

    records_updated: int
    """Rows of past days, all of which are zero now."""
    records_archived: int
    """Rows older than 90 days that were deleted."""
    executed_at: datetime


class Ledger:
    """A process's access to the ledger. Any number of processes may write: the statements themselves are exact."""

    def __init__(
        self,
        store: AuthStore,
        clock: Clock,
        *,
        lease: timedelta,
        batch_window_seconds: float = 0.0,
        reserve_seconds: float = 0.0,
        usage_known_seconds: float = 0.0,
    ) -> None:
        """`batch_window_seconds`: how long settlements are collected, see `settle`. `reserve_seconds`: minimum time between the starts of
        two batches of reservations; the first after an idle period does not wait. `usage_known_seconds`: see `UsageMemory`.
        """
        self._store = store
        self._clock = clock
        self._lease = lease
        self._leases = LeaseMemory(lease)
        self._memory = UsageMemory(seconds=usage_known_seconds)
        self._usages = UsageReader(store, clock, self._memory)
        reserver = Reserver(store, clock, lease=lease, memory=self._memory, flush_settlements=self._settled)
        self._reservations: GroupCommit[ReservationRequest, Reservation] = GroupCommit(
            reserver.reserve, batch_window_seconds=reserve_seconds, before_flush=store.wait_for_budget
        )
        self._renewals: GroupCommit[frozenset[str], Renewal] = GroupCommit(self._renew_batch, before_flush=store.wait_for_budget)
        self._checks: GroupCommit[frozenset[str], frozenset[str]] = GroupCommit(self._check_batch)
        self._settlements: GroupCommit[Settlement, None] = GroupCommit(
            self._settle_batch, batch_window_seconds=batch_window_seconds, before_flush=store.wait_for_budget
        )

    @classmethod
    def of(cls, store: AuthStore, clock: Clock, settings: AuthSettings) -> Self:
        """As configured for an auth process."""
        return cls(
            store,
            clock,
            lease=timedelta(seconds=settings.lease_seconds),
            batch_window_seconds=settings.settle_gather_seconds,
            reserve_seconds=settings.reserve_gather_seconds,
            usage_known_seconds=settings.quota_known_seconds,
        )

    async def reserve(self, tenant_id: str, reservation_id: str, *, is_retry: bool, trigger_type: str | None = None) -> Reservation:
        """Reserves for the run. The same id again returns its reservation and counts nothing; what it took the first time, and its
        `trigger_type`, are kept until it is settled.

        Raises ResourceExhausted with the refusing limit as its reason, or PermissionDenied without an ACTIVE subscription.
        """
        units = 0 if is_retry else 1
        with quota_decision():
            return await self._reservations.submit(
                ReservationRequest(tenant_id=tenant_id, reservation_id=reservation_id, units=units, trigger_type=trigger_type)
            )

    async def renew(self, ids: Sequence[str]) -> Renewal:
        """Extends the leases of `ids` and returns which are still held."""
        return await self._renewals.submit(frozenset(ids))

    async def check(self, ids: Sequence[str]) -> frozenset[str]:
        """Which of `ids` hold a reservation, as written by all processes."""
        return await self._checks.submit(frozenset(ids))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Ends reservations and counts how their runs ended; what was settled before changes nothing.

        Settlements of runs that ended by themselves are collected for `batch_window_seconds`. A tenant's own settlements are flushed
        earlier if it reads its quota from this process, or asks it for a reservation that the concurrent limit refuses. Other auth
        processes see them after `batch_window_seconds` at most. CANCELLED and NOT_STARTED are flushed at once.
        """
        await self._settlements.submit_all(settlements, urgent=any(one.outcome in URGENT for one in settlements))

    async def expired(self) -> list[StoredLease]:
        """Reservations whose lease has expired, the oldest first."""
        now = self._clock.now()
        version = await self._store.lease_version()
        if not self._leases.is_current(version, now):
            if self._leases.rules_out_expired(now):
                return []
            await self._read_leases(version, now)
        # Reservations of an older release moved into today's row at midnight, without their day. A lease that was never renewed shows it.
        return [
            replace(one, usage_date=min(one.usage_date, utc_day(one.lease_expires_at - self._lease)))
            for one in self._leases.expired(now)[:MAX_EXPIRED]
        ]

    async def usage(self, tenant_id: str) -> Usage:
        """The tenant's row for today, created if it is missing. It shows everything that this process has answered before, and the
        settlements that it has collected. Changes by other processes show after `usage_known_seconds` at most.
        """
        collected = [one for one in self._settlements.pending() if one.tenant_id == tenant_id]
        if (known := self._usages.known(tenant_id, _unique(collected))) is not None:
            return known
        await self._settled({tenant_id})
        return await self._usages.read(tenant_id)

    def doubt(self, tenant_id: str) -> None:
        """This process has changed what the ledger reads of the tenant: its subscription."""
        self._memory.doubt(tenant_id)

    async def active_runs(self, tenant_id: str) -> int:
        """The number of the tenant's runs that were admitted and are not settled, including those whose lease has expired."""
        await self._settled({tenant_id})
        leases = await self._store.list_leases(utc_day(self._clock.now()) - RESERVED_FOR)
        return sum(lease.tenant_id == tenant_id for lease in leases)

    async def reset(self) -> Reset:
        """Starts the day, see `reset_day` in queries.sql. Safe at any hour, and twice."""
        now = self._clock.now()
        try:
            updated, archived = await self._store.reset_day(now, utc_day(now))
        finally:
            self._memory.doubt()
        return Reset(records_updated=updated, records_archived=archived, executed_at=now)

    async def _settled(self, tenant_ids: set[str]) -> set[str]:
        """Flushes the collected settlements of these tenants; returns the tenants that had any."""
        ended = tenant_ids.intersection(one.tenant_id for one in self._settlements.pending())
        if ended:
            await self._settlements.flush_now()
        return ended

    async def _renew_batch(self, requests: Sequence[frozenset[str]]) -> Sequence[Renewal]:
        now = self._clock.now()
        lease_expires_at = now + self._lease
        if ids := _all_of(requests):
            await self._store.renew(ids, now, utc_day(now) - LIVE_FOR, lease_expires_at)
        return [Renewal(held=held, lease_expires_at=lease_expires_at) for held in await self._held(requests, now)]

    async def _check_batch(self, requests: Sequence[frozenset[str]]) -> Sequence[frozenset[str]]:
        return await self._held(requests, self._clock.now())

    async def _held(self, requests: Sequence[frozenset[str]], now: datetime) -> list[frozenset[str]]:
        """Which of each request's ids hold a reservation; without a statement if the table is as it was read last."""
        if not _all_of(requests):
            return list(requests)
        version = await self._store.lease_version()
        if not self._leases.is_current(version, now):
            await self._read_leases(version, now)
        return [self._leases.held(asked, now) for asked in requests]

    async def _read_leases(self, version: Version | None, now: datetime) -> None:
        self._leases.keep(version, now, await self._store.list_leases(utc_day(now) - RESERVED_FOR))

    async def _settle_batch(self, settlements: Sequence[Settlement]) -> Sequence[None]:
        unique = _unique(settlements)
        with self._memory.changing(((one.tenant_id, one.reservation_id) for one in unique), is_settling=True) as changes:
            await self._store.settle(unique, self._clock.now())
            changes.extend(unique)
        return [None] * len(settlements)

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        for group in (self._usages, self._reservations, self._renewals, self._checks, self._settlements):
            await self._stack.enter_async_context(group)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()


def _all_of(requests: Sequence[frozenset[str]]) -> list[str]:
    return sorted(frozenset(itertools.chain.from_iterable(requests)))


def _unique(settlements: Sequence[Settlement]) -> list[Settlement]:
    """One settlement for each id: the one that knows the cost, or else one that knows that the run has begun."""
    least_first = sorted(settlements, key=lambda one: (one.cost is not None, one.outcome != NOT_STARTED))
    return list({one.reservation_id: one for one in least_first}.values())
