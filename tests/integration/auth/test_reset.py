"""The daily reset (flow 3C), with the clock passed in: active runs keep their reservation, once, before, during and after it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.auth.ledger import Ledger
from services.auth.store import AuthStore, ReservationRequest, Settlement
from services.auth.usage.reserver import Reservation
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.errors import ResourceExhausted
from services.platform.metrics import BIGQUERY_JOBS
from tests.integration.auth.conftest import LEASE, Provision
from tests.support.set_clock import SetClock

LATE = datetime(2001, 3, 10, 23, 59, 30, tzinfo=UTC)
YESTERDAY, TODAY = date(2001, 3, 10), date(2001, 3, 11)
COUNTERS = (
    "pipelines_run_today, pipelines_succeeded_today, pipelines_failed_today, concurrent_pipelines_running, "
    "IFNULL(ARRAY_LENGTH(live_runs), 0)"
)


class Table:
    """The ledger's rows, read and written without our own code."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq

    async def run(self, sql: str) -> list[dict[str, Any]]:
        return (await self._bq.query(make_block("test", sql, {}), {}, dataset=self._bq.control())).rows

    async def counters(self, tenant_id: str, day: date) -> tuple[int, ...]:
        """Run, succeeded, failed, running, and how many ids are in live_runs."""
        [row] = await self.run(f"SELECT {COUNTERS} AS n FROM tenant_usage_quotas WHERE tenant_id = '{tenant_id}' AND usage_date = '{day}'")
        return tuple(row.values())


@pytest.fixture
async def table(bq: BigQuery, clock: SetClock) -> AsyncIterator[Table]:
    """Empty before 2010: no other test works there, and so the counts of a reset in 2001 are this test's own."""
    clock.time, rows = LATE, Table(bq)
    yield rows
    await rows.run("DELETE FROM tenant_usage_quotas WHERE usage_date < '2010-01-01'")


async def hold(ledger: Ledger, tenant_id: str) -> Settlement:
    """A run that holds a slot; what it will be settled with."""
    reservation_id = str(uuid.uuid4())
    slot = await ledger.reserve(tenant_id, reservation_id, is_retry=False)
    return Settlement(tenant_id=tenant_id, reservation_id=reservation_id, usage_date=slot.usage_date, outcome="COMPLETED")


async def test_the_past_is_zeroed_and_old_rows_are_dropped_in_one_job(
    ledger: Ledger, clock: SetClock, provision: Provision, table: Table
) -> None:
    """Every row of a past day counts as updated, the ones that are dropped afterwards too; day 90 stays. Twice gives the same rows."""
    tenant_id = await provision(daily_limit=5)
    days = [TODAY - timedelta(days=back) for back in (0, 1, 90, 91, 400)]
    values = ", ".join(f"('{tenant_id}', DATE '{day}', 7, 4, 3, 9, 2)" for day in days)
    await table.run(
        "INSERT INTO tenant_usage_quotas (tenant_id, usage_date, pipelines_run_today, pipelines_succeeded_today, pipelines_failed_today, "
        f"pipelines_run_month, concurrent_pipelines_running) VALUES {values}"
    )
    clock.time = LATE + timedelta(minutes=1)
    jobs = BIGQUERY_JOBS.labels("reset_day")._value
    before = jobs.get()

    first, second = await ledger.reset(), await ledger.reset()

    assert (first.records_updated, first.records_archived, first.executed_at) == (4, 2, clock.time)
    assert (second.records_updated, second.records_archived) == (2, 0)
    assert jobs.get() - before == 2
    rows = await table.run(f"SELECT * FROM tenant_usage_quotas WHERE tenant_id = '{tenant_id}' ORDER BY usage_date")
    assert [row["usage_date"] for row in rows] == [days[2], days[1], days[0]]
    assert [row["pipelines_run_today"] for row in rows] == [0, 0, 7]
    assert [row["pipelines_run_month"] for row in rows] == [9, 9, 9]
    assert rows[0]["last_updated"] == clock.time


@pytest.mark.parametrize("order", ["reset first", "a run first", "reset twice"])
async def test_a_run_alive_over_midnight_keeps_its_slot_once_and_counts_on_its_own_day(
    ledger: Ledger, clock: SetClock, provision: Provision, table: Table, order: str
) -> None:
    """Whether the reset comes before or after the day's first run, and however often."""
    tenant_id = await provision(concurrent_limit=2, daily_limit=2)
    over = await hold(ledger, tenant_id)
    clock.time = LATE + timedelta(seconds=45)
    if order == "a run first":
        today = await hold(ledger, tenant_id)
        await ledger.reset()
    else:
        for _ in range(order.count("twice") + 1):
            await ledger.reset()
        today = await hold(ledger, tenant_id)

    with pytest.raises(ResourceExhausted) as full:
        await hold(ledger, tenant_id)
    held = (await ledger.renew([over.reservation_id, today.reservation_id])).held
    for _ in range(2):
        await ledger.settle([over])

    assert full.value.reason == "CONCURRENT_LIMIT_REACHED"
    assert held == {over.reservation_id, today.reservation_id}
    assert await table.counters(tenant_id, YESTERDAY) == (0, 1, 0, 0, 0)
    assert await table.counters(tenant_id, TODAY) == (1, 0, 0, 1, 1)
    assert isinstance(await hold(ledger, tenant_id), Settlement)


async def test_a_settlement_before_the_reset_is_not_undone_by_it(
    ledger: Ledger, clock: SetClock, provision: Provision, table: Table
) -> None:
    """A settled run does not come back to life, and the reset does to yesterday's counts what flow 3C says."""
    tenant_id = await provision()
    over = await hold(ledger, tenant_id)
    clock.time = LATE + timedelta(seconds=45)
    await ledger.settle([over])

    await ledger.reset()

    assert await table.counters(tenant_id, YESTERDAY) == (0, 0, 0, 0, 0)
    assert await table.counters(tenant_id, TODAY) == (0, 0, 0, 0, 0)


async def test_during_the_reset_reservations_and_settlements_are_exact(
    ledger: Ledger, clock: SetClock, provision: Provision, table: Table
) -> None:
    """Two resets, settlements of yesterday's runs and new runs all at once: one row for today, every slot and count once."""
    tenant_id = await provision(concurrent_limit=4)
    old = [await hold(ledger, tenant_id) for _ in range(2)]
    clock.time = LATE + timedelta(seconds=45)

    await asyncio.gather(ledger.reset(), hold(ledger, tenant_id), ledger.settle([old[0]]), ledger.reset(), hold(ledger, tenant_id))
    await ledger.reset()

    assert await table.counters(tenant_id, TODAY) == (2, 0, 0, 3, 3)
    assert await table.counters(tenant_id, YESTERDAY) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize("opened_by", ["a call", "the reset"])
async def test_what_is_reserved_for_yesterday_after_today_was_opened_counts_today(
    ledger: Ledger, store: AuthStore, clock: SetClock, provision: Provision, table: Table, opened_by: str
) -> None:
    """Its statement came late, or its process has a slow clock. Yesterday's row no longer knows what is alive, nor does its count of the
    month reach today's.
    """
    tenant_id = await provision(concurrent_limit=2, monthly_limit=3)
    early = await hold(ledger, tenant_id)
    clock.time = LATE + timedelta(seconds=31)
    await (store.open_day([tenant_id], clock.now(), TODAY) if opened_by == "a call" else ledger.reset())
    clock.time = LATE + timedelta(seconds=29)
    late = await hold(ledger, tenant_id)
    with pytest.raises(ResourceExhausted, match="at once"):
        await hold(ledger, tenant_id)

    assert await table.counters(tenant_id, TODAY) == (1, 0, 0, 2, 2)
    clock.time = LATE + timedelta(seconds=32)
    await ledger.settle([early, late])
    assert await table.counters(tenant_id, TODAY) == (1, 0, 0, 0, 0)
    await hold(ledger, tenant_id)
    with pytest.raises(ResourceExhausted) as refused:
        await hold(ledger, tenant_id)
    assert refused.value.reason == "MONTHLY_LIMIT_REACHED"


async def test_what_is_reserved_between_the_making_and_the_opening_of_a_day_is_counted_in_its_month(
    ledger: Ledger, store: AuthStore, clock: SetClock, provision: Provision, table: Table
) -> None:
    """Reservations of yesterday, and of today, go on while today's rows are made and opened by several."""
    tenant_id = await provision()
    await hold(ledger, tenant_id)
    late, early = LATE + timedelta(seconds=29), LATE + timedelta(seconds=31)
    requests = [ReservationRequest(tenant_id=tenant_id, reservation_id=str(uuid.uuid4()), units=1, trigger_type="api") for _ in range(20)]
    clock.time = early

    async def reserve(request: ReservationRequest) -> int:
        return await store.reserve([request], late, YESTERDAY, late + LEASE)

    granted = await asyncio.gather(
        *(reserve(one) for one in requests[:10]),
        *(store.open_day([tenant_id], early, TODAY) for _ in range(2)),
        ledger.reset(),
        *(reserve(one) for one in requests[10:]),
    )

    assert [one for one in granted if isinstance(one, int)] == [1] * 20
    [row] = await table.run(
        f"SELECT pipelines_run_month, ARRAY_LENGTH(live_runs) AS live FROM tenant_usage_quotas "
        f"WHERE tenant_id = '{tenant_id}' AND usage_date = '{TODAY}'"
    )
    assert (row["pipelines_run_month"], row["live"]) == (21, 21)


async def test_only_active_tenants_and_those_with_live_runs_get_a_row(
    ledger: Ledger, clock: SetClock, provision: Provision, table: Table, store: AuthStore
) -> None:
    """A slot is not lost because its tenant was suspended; the month's units come over."""
    active, idle = await provision(name="_a", daily_limit=3), await provision(name="_i", subscription_status="PAST_DUE")
    leaving = await provision(name="_l")
    alive = await hold(ledger, leaving)
    await hold(ledger, active)
    await provision(name="_l", status="SUSPENDED")
    clock.time = LATE + timedelta(seconds=45)

    await ledger.reset()

    usages = await store.read_usage([active, idle, leaving], [alive.reservation_id], clock.now(), TODAY)
    assert set(usages) == {active, leaving}
    assert usages[leaving].held == {alive.reservation_id}
    assert (usages[active].pipelines_run_today, usages[active].pipelines_run_month, usages[active].daily_limit) == (0, 1, 3)


async def test_a_slot_that_was_never_renewed_is_listed_on_the_day_it_was_reserved(
    ledger: Ledger, clock: SetClock, provision: Provision, table: Table
) -> None:
    """The reset has moved it into today's row, and no run's record tells its day: its lease does."""
    tenant_id = await provision()
    never = await hold(ledger, tenant_id)
    clock.time = LATE + timedelta(seconds=45)
    await ledger.reset()

    clock.time = LATE + LEASE
    [expired] = [one for one in await ledger.expired() if one.reservation_id == never.reservation_id]
    await ledger.settle(
        [Settlement(tenant_id=tenant_id, reservation_id=never.reservation_id, usage_date=expired.usage_date, outcome="FAILED")]
    )

    assert expired.usage_date == YESTERDAY
    assert await table.counters(tenant_id, YESTERDAY) == (0, 0, 1, 0, 0)
    assert await table.counters(tenant_id, TODAY) == (0, 0, 0, 0, 0)


async def test_a_new_month_starts_at_zero_with_the_reset(ledger: Ledger, clock: SetClock, provision: Provision, table: Table) -> None:
    clock.time = datetime(2001, 3, 31, 23, 59, 30, tzinfo=UTC)
    tenant_id = await provision(monthly_limit=1)
    await hold(ledger, tenant_id)
    clock.time += timedelta(minutes=1)

    await ledger.reset()

    assert (await ledger.usage(tenant_id)).pipelines_run_month == 0
    assert isinstance(await ledger.reserve(tenant_id, str(uuid.uuid4()), is_retry=False), Reservation)
