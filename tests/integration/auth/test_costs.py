"""What runs cost, in the ledger on a real BigQuery emulator: counted once, summed by month, reported by day and by tenant."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from convergence.auth.v1 import usage_service_pb2 as messages

from services.auth.ledger import Ledger
from services.auth.servicers.usage import UsageServicer, days_of
from services.auth.store import AuthStore, EndedRuns, RecordedUsage, Settlement
from services.auth.usage.reserver import Reservation
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.clock import utc_day
from services.platform.errors import InvalidArgument, ResourceExhausted
from tests.integration.auth.conftest import LEASE, Provision
from tests.support.counting import jobs
from tests.support.set_clock import SetClock

COST = RecordedUsage(bytes_billed=2**53 + 1, bytes_read=300, slot_ms=40, cost_usd=0.25)


async def ask(ledger: Ledger, tenant_id: str, *, is_retry: bool = False) -> tuple[str, Reservation | ResourceExhausted]:
    identity = str(uuid.uuid4())
    try:
        return identity, await ledger.reserve(tenant_id, identity, is_retry=is_retry)
    except ResourceExhausted as refused:
        return identity, refused


async def hold(ledger: Ledger, tenant_id: str) -> Settlement:
    """A run that holds a slot: its end, without the cost."""
    identity, slot = await ask(ledger, tenant_id)
    assert isinstance(slot, Reservation)
    return Settlement(tenant_id=tenant_id, reservation_id=identity, usage_date=slot.usage_date, outcome="COMPLETED")


async def used(store: AuthStore, tenant_id: str, day: date) -> EndedRuns:
    return (await store.usage_by_day(tenant_id, day, day)).get(day, EndedRuns())


def ended(runs: int, costs: int) -> EndedRuns:
    return EndedRuns(
        runs=runs,
        bytes_billed=costs * COST.bytes_billed,
        bytes_read=costs * COST.bytes_read,
        slot_ms=costs * COST.slot_ms,
        cost_usd=costs * COST.cost_usd,
    )


async def test_a_settlement_that_is_replayed_counts_its_cost_once(
    ledger: Ledger, store: AuthStore, clock: SetClock, provision: Provision
) -> None:
    """Also by two processes at once, and in one batch; beside it a run that failed, and one that never began and cost nothing."""
    tenant_id = await provision()
    done, failed, nothing = [await hold(ledger, tenant_id) for _ in range(3)]
    end, lost = replace(done, cost=COST), replace(failed, outcome="FAILED", cost=COST)
    async with Ledger(store, clock, lease=LEASE) as other:
        await asyncio.gather(*(side.settle([end, lost]) for side in (ledger, other) for _ in range(3)))
    for _ in range(2):
        await ledger.settle([end, lost, replace(nothing, outcome="NOT_STARTED")])

    assert await used(store, tenant_id, done.usage_date) == ended(2, 2)
    usage = await ledger.usage(tenant_id)
    assert (usage.pipelines_succeeded_today, usage.pipelines_failed_today, usage.pipelines_run_today) == (1, 1, 2)
    assert usage.cost_usd_month == 0.5


async def test_a_run_that_was_settled_without_its_cost_gets_it_once(ledger: Ledger, store: AuthStore, provision: Provision) -> None:
    """A cancel through another executor settles first; the executing process follows when it has stopped, as often as it likes."""
    tenant_id = await provision(concurrent_limit=1)
    one = await hold(ledger, tenant_id)
    for _ in range(2):
        await ledger.settle([replace(one, outcome="CANCELLED")])
        assert await used(store, tenant_id, one.usage_date) == ended(1, 0)
    assert isinstance((await ask(ledger, tenant_id))[1], Reservation), "its slot is free at once"
    for _ in range(2):
        await ledger.settle([replace(one, outcome="CANCELLED", cost=COST)])
        assert await used(store, tenant_id, one.usage_date) == ended(1, 1)
    # Both in one batch: the cost is not lost, whichever comes last.
    assert (await ledger.renew([one.reservation_id])).held == frozenset()
    other_tenant = await provision(name="b")
    two = await hold(ledger, other_tenant)
    await ledger.settle([replace(two, outcome="CANCELLED", cost=COST), replace(two, outcome="CANCELLED")])
    assert await used(store, other_tenant, two.usage_date) == ended(1, 1)


async def test_a_month_s_limit_is_used_up_by_several_runs(ledger: Ledger, provision: Provision, clock: SetClock) -> None:
    """Each run learns what is left. A run that is active may pass the limit; from then on none begins, no retry either, until the month is
    over or the limit is raised.
    """
    clock.time = datetime(2026, 3, 30, 12, tzinfo=UTC)
    tenant_id = await provision(monthly_cost_limit_usd=1.0)
    for left in (1.0, 0.6, 0.2):
        identity, slot = await ask(ledger, tenant_id)
        assert isinstance(slot, Reservation)
        assert slot.month_left_usd == pytest.approx(left)
        end = Settlement(tenant_id=tenant_id, reservation_id=identity, usage_date=slot.usage_date, outcome="COMPLETED")
        held, _ = await ask(ledger, tenant_id, is_retry=True)
        await ledger.settle([replace(end, cost=RecordedUsage(cost_usd=0.4))])
        again = await ledger.reserve(tenant_id, held, is_retry=True)
        assert again.month_left_usd == pytest.approx(max(0.0, left - 0.4)), "an id that holds a slot keeps it"
        clock.time += timedelta(hours=11)

    for is_retry in (False, True):
        before = jobs()
        _, refused = await ask(ledger, tenant_id, is_retry=is_retry)
        assert jobs() - before == 2, "no statement more"
        assert isinstance(refused, ResourceExhausted)
        assert (refused.reason, refused.retry_after) == ("MONTHLY_COST_LIMIT_REACHED", timedelta(hours=3))
        assert "1.20 of 1.00 USD, 0.20 USD over the limit" in refused.message
    usage = await ledger.usage(tenant_id)
    assert usage.pipelines_run_month == 3
    assert usage.cost_usd_month == pytest.approx(1.2)

    await provision(monthly_cost_limit_usd=2.0)
    assert isinstance((await ask(ledger, tenant_id))[1], Reservation), "a new limit holds at once"
    await provision(monthly_cost_limit_usd=1.0)
    clock.time = datetime(2026, 4, 1, 0, 0, 1, tzinfo=UTC)
    _, slot = await ask(ledger, tenant_id)
    assert isinstance(slot, Reservation)
    assert slot.month_left_usd == 1.0


async def test_without_a_limit_no_run_learns_what_is_left_and_none_is_refused(ledger: Ledger, provision: Provision) -> None:
    tenant_id = await provision()
    await ledger.settle([replace(await hold(ledger, tenant_id), cost=RecordedUsage(cost_usd=1e6))])
    _, slot = await ask(ledger, tenant_id)
    assert isinstance(slot, Reservation)
    assert slot.month_left_usd is None


async def test_midnight_and_the_reset_keep_the_cost_on_the_day_of_the_reservation(
    ledger: Ledger, clock: SetClock, provision: Provision, store: AuthStore
) -> None:
    """The reset zeroes the counters of past days, not what they have cost. A run that was cancelled after midnight without its cost is
    found where it was live.
    """
    clock.time = datetime(2026, 3, 10, 23, 59, 30, tzinfo=UTC)
    tenant_id = await provision(monthly_cost_limit_usd=10.0)
    early, late, cancelled = [await hold(ledger, tenant_id) for _ in range(3)]
    await ledger.settle([replace(early, cost=COST)])
    clock.time += timedelta(minutes=1)
    await ledger.reset()
    today = utc_day(clock.now())
    await ledger.settle([replace(late, cost=COST)])
    await ledger.settle([replace(cancelled, outcome="CANCELLED", usage_date=today)])
    await ledger.settle([replace(cancelled, outcome="CANCELLED", cost=COST)])
    await ledger.reset()

    days = await store.usage_by_day(tenant_id, early.usage_date, today)
    assert days == {early.usage_date: ended(2, 2), today: ended(1, 1)}
    assert (await ledger.usage(tenant_id)).cost_usd_month == 0.75


async def test_the_scheduler_does_not_claim_for_a_tenant_over_its_limit(ledger: Ledger, bq: BigQuery, provision: Provision) -> None:
    """The view that it reads uses BigQuery's clock, so the row is of today."""
    over, under, free = [await provision(name=name, monthly_cost_limit_usd=most) for name, most in (("o", 1.0), ("u", 3.0), ("f", None))]
    insert = (
        "INSERT INTO tenant_usage_quotas (tenant_id, usage_date, pipelines_run_today, cost_usd) "
        "SELECT t, d, 0, 1.0 FROM UNNEST(@tenants) AS t, UNNEST([CURRENT_DATE(), DATE_TRUNC(CURRENT_DATE(), MONTH)]) AS d"
    )
    await bq.query(make_block("rows", insert, {"tenants": "ARRAY<STRING>"}), {"tenants": [over, under, free]}, dataset=bq.control())
    read = make_block(
        "read",
        "SELECT tenant_id, units_left FROM runnable_tenants WHERE tenant_id IN UNNEST(@tenants)",
        {"tenants": "ARRAY<STRING>"},
    )
    rows = (await bq.query(read, {"tenants": [over, under, free]}, dataset=bq.control())).rows
    assert {row["tenant_id"]: row["units_left"] for row in rows} == {over: 0, under: None, free: None}


@pytest.fixture
def servicer(store: AuthStore, clock: SetClock) -> UsageServicer:
    return UsageServicer(store, clock)


async def test_usage_by_day_and_by_tenant_in_one_statement_each(
    ledger: Ledger, clock: SetClock, provision: Provision, servicer: UsageServicer
) -> None:
    """The sum over all tenants is on every page; tenants without a run are on none."""
    clock.time = datetime(2031, 5, 2, 12, tzinfo=UTC)  # no other test's tenants have run then
    tenants = [await provision(name=f"_{name}") for name in "abcd"]
    for number, tenant_id in enumerate(tenants[:3], 1):
        for _ in range(number):
            await ledger.settle([replace(await hold(ledger, tenant_id), cost=COST)])
    clock.time += timedelta(days=3)
    await ledger.settle([replace(await hold(ledger, tenants[0]), cost=COST)])

    before = jobs()
    one = await servicer.GetUsage(messages.GetUsageRequest(tenant_id=tenants[0]), None)
    assert jobs() - before == 1
    assert (one.start_date, one.end_date) == ("2031-05-01", "2031-05-05")
    assert [(day.usage_date, day.usage.runs, day.usage.bytes_billed) for day in one.days] == [
        ("2031-05-02", 1, COST.bytes_billed),
        ("2031-05-05", 1, COST.bytes_billed),
    ]
    assert (one.total.runs, one.total.bytes_read, one.total.slot_ms, one.total.cost_usd) == (2, 600, 80, 0.5)

    pages, token = list[messages.ListUsageResponse](), ""
    while True:
        before = jobs()
        request = messages.ListUsageRequest(start_date="2031-05-01", page_size=2, page_token=token)
        pages.append(await servicer.ListUsage(request, None))
        assert jobs() - before == 1
        token = pages[-1].next_page_token
        if not token:
            break
    listed = [(one.tenant_id, one.usage.runs) for page in pages for one in page.tenants]
    assert listed == [(tenants[0], 2), (tenants[1], 2), (tenants[2], 3)]
    assert [len(page.tenants) for page in pages] == [2, 1]
    assert {(page.total.runs, page.total.cost_usd, page.total.bytes_billed) for page in pages} == {(7, 1.75, 7 * COST.bytes_billed)}
    none = await servicer.ListUsage(messages.ListUsageRequest(start_date="2029-01-01", end_date="2029-01-02"), None)
    assert (len(none.tenants), none.total.runs, none.total.cost_usd) == (0, 0, 0.0)


def test_the_days_to_report() -> None:
    today = date(2026, 3, 10)
    assert days_of("", "", today=today) == (date(2026, 3, 1), today)
    assert days_of("", "2026-02-05", today=today) == (date(2026, 2, 1), date(2026, 2, 5))
    assert days_of("2026-01-01", "2026-04-02", today=today) == (date(2026, 1, 1), date(2026, 4, 2))
    for first, last, field in (
        ("soon", "", "start_date"),
        ("", "2026-02-30", "end_date"),
        ("2026-03-11", "", "start_date"),
        ("2026-01-01", "2026-04-03", "start_date"),
    ):
        with pytest.raises(InvalidArgument, match=field):
            days_of(first, last, today=today)
