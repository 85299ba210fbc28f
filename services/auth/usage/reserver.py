"""Grants a batch of reservations.

How many statements, one after the other, and why each answer is exact
    1. `reserve` is one UPDATE, which decides. It changes a tenant's row only if it grants the tenant something, and a tenant has one row a
       day; so BigQuery's answer, the number of changed rows, is the number of tenants with a grant. No other process can change that
       number, whatever it writes before, meanwhile or after.
    2. If each tenant of the batch has one request, and as many rows as tenants were changed, every request was granted.
    3. A tenant with several requests may have been granted a part of them. So if its limits are far away, the statement grants each tenant
       all of its requests or nothing (`all_or_none`). Then as many changed rows as tenants mean again that every request was granted. That
       the limits are far away is only an expectation, from earlier answers (`KnownPlans.expect`). If it is wrong, the statement is sent
       again without `all_or_none`: an id that was granted the first time is granted again, which takes nothing.
    4. If no row was changed, every request was refused. The tenants' rows are read to find out why. If a row contradicts the refusal,
       because another process has changed it meanwhile, the request is sent again, see `_may_have_missed`.
    5. An answer also says how many bytes the plan lets the run read, and what is left of a monthly cost limit. For tenants without a cost
       limit this is known while the version of the subscriptions is the same. Otherwise it is read *concurrently with* the UPDATE. What is
       left of a cost limit does not depend on the reservation, but on runs that end, at any moment before or after. So a reading during the
       call bounds the run as well as a reading after the UPDATE. The UPDATE itself never uses this reading.
    6. So a batch waits for one statement if all its requests are granted, or if its only request is refused. A batch of several requests,
       of which some are refused, waits for two: UPDATE, then reading. A single request never takes more statements in all than these two.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Self

from services.auth.quota import Usage, left, refusal, refusing_limit
from services.auth.store import AuthStore, ReservationRequest
from services.auth.usage.known_plans import KnownPlans
from services.auth.usage.memory import UsageMemory
from services.auth.usage.own_changes import Grant
from services.platform.bigquery.table_versions import Version
from services.platform.clock import Clock, utc_day
from services.platform.errors import ConvergenceError, PermissionDenied


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """A granted reservation."""

    usage_date: date
    """The UTC day that it counts on."""
    lease_expires_at: datetime
    max_export_bytes: int
    """Of the plan: bytes that the run may read of a billing export."""
    month_left_usd: float | None = None
    """What is left of the monthly cost limit; None: there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Terms:
    """What an answer says of the tenant's plan, see `Reservation`."""

    max_export_bytes: int
    month_left_usd: float | None = None

    @classmethod
    def of(cls, usage: Usage) -> Self:
        return cls(max_export_bytes=usage.max_export_bytes, month_left_usd=left(usage.cost_usd_month, usage.monthly_cost_limit_usd))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """Requests that are granted together, each id once."""

    requests: Sequence[ReservationRequest]
    now: datetime
    lease_expires_at: datetime

    @property
    def today(self) -> date:
        return utc_day(self.now)

    @property
    def tenant_ids(self) -> list[str]:
        return sorted({one.tenant_id for one in self.requests})

    @property
    def ids(self) -> list[str]:
        return [one.reservation_id for one in self.requests]

    def reservation(self, terms: _Terms) -> Reservation:
        return Reservation(usage_date=self.today, lease_expires_at=self.lease_expires_at, **asdict(terms))


class Reserver:
    """Any number of processes may grant at the same moment."""

    def __init__(
        self,
        store: AuthStore,
        clock: Clock,
        *,
        lease: timedelta,
        memory: UsageMemory,
        flush_settlements: Callable[[set[str]], Awaitable[set[str]]],
    ) -> None:
        """`flush_settlements`: writes the settlements of these tenants that this process has collected, and returns the tenants that had
        any.
        """
        self._store, self._clock, self._lease = store, clock, lease
        self._memory, self._flush_settlements = memory, flush_settlements
        self._plans = KnownPlans()

    async def reserve(self, requests: Sequence[ReservationRequest]) -> Sequence[Reservation | ConvergenceError]:
        """The answer to each request, in order: its reservation, or why it is refused."""
        began = self._memory.moment()
        with self._memory.changing(((one.tenant_id, one.reservation_id) for one in requests), is_settling=False) as changes:
            answers = await self._answers(requests)
            changes.extend(_grant(one, answer) for one, answer in zip(requests, answers, strict=True) if isinstance(answer, Reservation))
        # After a refusal, the tenant must not be shown an older reading in which a run was left.
        refused = {one.tenant_id for one, answer in zip(requests, answers, strict=True) if not isinstance(answer, Reservation)}
        self._memory.forget_older(refused, than=began)
        return answers

    async def _answers(self, requests: Sequence[ReservationRequest]) -> Sequence[Reservation | ConvergenceError]:
        now = self._clock.now()
        # Two replays of one id in one batch are one request.
        unique = list({request.reservation_id: request for request in requests}.values())
        batch = _Batch(requests=unique, now=now, lease_expires_at=now + self._lease)
        asked = [request.tenant_id for request in unique]
        is_expected, is_one_each = self._plans.expect(asked), len(asked) == len(batch.tenant_ids)
        (version, terms, seen), granted = await asyncio.gather(
            self._terms(batch, may_read=is_expected or len(asked) == 1), self._grant(batch, all_or_none=is_expected)
        )
        if (is_expected or is_one_each) and granted == len(batch.tenant_ids) == len(terms):
            self._plans.granted(asked)
            return [batch.reservation(terms[request.tenant_id]) for request in requests]
        if is_expected and not is_one_each:
            granted = await self._grant(batch)
        if seen is None or granted:
            usages = await self._read(batch, version)
        else:  # what they held before the UPDATE is gone
            usages = {one: replace(usage, held=frozenset()) for one, usage in seen.items()}
        usages = await self._tried_again(batch, usages)

        def answer(request: ReservationRequest) -> Reservation | ConvergenceError:
            usage = usages.get(request.tenant_id)
            if usage is None:
                return PermissionDenied("SUBSCRIPTION_NOT_ACTIVE", "This tenant has no row in the ledger, and none could be made.")
            if request.reservation_id in usage.held:
                return batch.reservation(_Terms.of(usage))
            return refusal(usage, now, is_retry=request.units == 0)

        return [answer(request) for request in requests]

    async def _grant(self, batch: _Batch, *, all_or_none: bool = False) -> int:
        """The number of tenants that were granted something."""
        return await self._store.reserve(batch.requests, batch.now, batch.today, batch.lease_expires_at, all_or_none=all_or_none)

    async def _terms(self, batch: _Batch, *, may_read: bool) -> tuple[Version | None, Mapping[str, _Terms], Mapping[str, Usage] | None]:
        """The version of the subscriptions; the terms of the batch's tenants, as far as they are known; and the tenants' rows, if they had
        to be read for the terms and `may_read`.
        """
        version = await self._store.subscription_version()
        if (most := self._plans.export_bytes(version, batch.tenant_ids)) is not None:
            return version, {tenant_id: _Terms(max_export_bytes=most[tenant_id]) for tenant_id in most}, None
        if not may_read:
            return version, {}, None
        usages = await self._read(batch, version)
        return version, {tenant_id: _Terms.of(usage) for tenant_id, usage in usages.items()}, usages

    async def _read(self, batch: _Batch, version: Version | None) -> dict[str, Usage]:
        """The tenants' rows. `version`: of the subscriptions, read before."""
        usages = await self._rows(batch.tenant_ids, batch)
        self._plans.note(version, usages.values())
        return usages

    async def _rows(self, tenant_ids: Sequence[str], batch: _Batch) -> dict[str, Usage]:
        with self._memory.reading(batch.now) as reading:
            usages = await self._store.read_usage(tenant_ids, batch.ids, batch.now, batch.today)
            self._memory.keep(reading, None, (replace(usage, held=frozenset()) for usage in usages.values()))
        return usages

    async def _tried_again(self, batch: _Batch, usages: dict[str, Usage]) -> dict[str, Usage]:
        """Sends again the requests that may be granted by now. The rows after that; `usages` if there is no such request."""
        if missing := [tenant_id for tenant_id in batch.tenant_ids if tenant_id not in usages]:
            await self._store.open_day(missing, batch.now, batch.today)
        # A run of the tenant may just have ended: its settlement frees a slot.
        freed = await self._flush_settlements({one.tenant_id for one in batch.requests if _lacks_a_slot(one, usages.get(one.tenant_id))})
        again = [one for one in batch.requests if one.tenant_id in freed or _may_have_missed(one, usages.get(one.tenant_id))]
        if not again:
            return usages
        version, _ = await asyncio.gather(self._store.subscription_version(), self._grant(replace(batch, requests=again)))
        tenant_ids = sorted({request.tenant_id for request in again})
        # With all ids: those of these tenants that were granted before count, too.
        read_again = await self._rows(tenant_ids, batch)
        self._plans.note(version, read_again.values())
        return usages | read_again


def _grant(request: ReservationRequest, answer: Reservation) -> Grant:
    return Grant(
        tenant_id=request.tenant_id,
        reservation_id=request.reservation_id,
        units=request.units,
        usage_date=answer.usage_date,
        lease_expires_at=answer.lease_expires_at,
    )


def _lacks_a_slot(request: ReservationRequest, usage: Usage | None) -> bool:
    """True if only the concurrent limit refuses the request."""
    if usage is None or request.reservation_id in usage.held:
        return False
    return refusing_limit(usage, is_retry=request.units == 0) == "CONCURRENT"


def _may_have_missed(request: ReservationRequest, usage: Usage | None) -> bool:
    """True if a refused request would be granted now: its tenant's row was missing and has been created since, or a reservation has been
    settled meanwhile.
    """
    if usage is None:
        return True
    held = request.reservation_id in usage.held
    return not held and usage.subscription_active and refusing_limit(usage, is_retry=request.units == 0) is None
