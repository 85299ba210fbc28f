"""The quota ledger on a real BigQuery emulator: exact, cheap, idempotent."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from services.auth.ledger import Ledger
from services.auth.quota import Usage
from services.auth.store import AuthStore, RecordedUsage, ReservationRequest, Settlement
from services.auth.usage.reserver import Reservation
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.clock import utc_day
from services.platform.errors import PermissionDenied, ResourceExhausted
from tests.integration.auth.conftest import LEASE, Provision
from tests.support.counting import asked, jobs
from tests.support.set_clock import SetClock


def new_id() -> str:
    return str(uuid.uuid4())


async def ask(
    ledger: Ledger, tenant_id: str, reservation_id: str | None = None, *, is_retry: bool = False
) -> Reservation | ResourceExhausted:
    try:
        return await ledger.reserve(tenant_id, reservation_id or new_id(), is_retry=is_retry)
    except ResourceExhausted as refused:
        return refused


def settlement(tenant_id: str, reservation_id: str, slot: object, outcome: str = "COMPLETED") -> Settlement:
    assert isinstance(slot, Reservation)
    return Settlement(tenant_id=tenant_id, reservation_id=reservation_id, usage_date=slot.usage_date, outcome=outcome)


async def test_sixty_at_once_against_a_limit_of_25_admits_exactly_25(ledger: Ledger, provision: Provision) -> None:
    """And in far fewer statements than calls."""
    tenant_id = await provision(daily_limit=25)
    await ledger.usage(tenant_id)
    before = jobs()

    answers = await asyncio.gather(*(ask(ledger, tenant_id) for _ in range(60)))

    refused = [answer for answer in answers if isinstance(answer, ResourceExhausted)]
    usage = await ledger.usage(tenant_id)
    assert (len(refused), {answer.reason for answer in refused}) == (35, {"DAILY_LIMIT_REACHED"})
    assert (usage.pipelines_run_today, usage.pipelines_run_month, usage.concurrent_pipelines_running) == (25, 25, 25)
    assert jobs() - before <= 6


async def test_two_processes_admit_exactly_what_mixed_limits_allow(
    store: AuthStore, clock: SetClock, provision: Provision, ledger: Ledger
) -> None:
    """Two ledgers share nothing but the table."""
    limits = {"a": {"daily_limit": 5}, "b": {"concurrent_limit": 3}, "c": {"monthly_limit": 4, "daily_limit": 9}, "d": {}}
    tenants = {name: await provision(name=name, **limit) for name, limit in limits.items()}
    async with Ledger(store, clock, lease=LEASE) as other:
        calls = [ask(side, tenants[name]) for name in tenants for _ in range(6) for side in (ledger, other)]
        answers = await asyncio.gather(*calls)

    granted = dict.fromkeys(tenants, 0)
    for name, answer in zip([name for name in tenants for _ in range(12)], answers, strict=True):
        granted[name] += isinstance(answer, Reservation)
    assert granted == {"a": 5, "b": 3, "c": 4, "d": 12}
    for name, tenant_id in tenants.items():
        assert (await ledger.usage(tenant_id)).pipelines_run_today == granted[name]


async def test_the_same_id_again_is_granted_once(ledger: Ledger, provision: Provision) -> None:
    tenant_id, reservation_id = await provision(daily_limit=1), new_id()

    answers = await asyncio.gather(*(ask(ledger, tenant_id, reservation_id) for _ in range(5)))
    again = await ask(ledger, tenant_id, reservation_id)

    assert all(isinstance(answer, Reservation) for answer in (*answers, again))
    assert (await ledger.usage(tenant_id)).pipelines_run_today == 1


async def test_warm_reservations_take_one_statement_and_are_read_back_only_where_something_was_refused(
    ledger: Ledger, clock: SetClock, provision: Provision
) -> None:
    """Concurrent ones of several tenants, too, once it is known that none has a limit of cost. A tenant with two requests at once and a
    limit that is near may have been granted one of them only.
    """
    one, other = await provision(name="_a", daily_limit=4), await provision(name="_b")
    for tenant_id in (one, other):
        await ledger.usage(tenant_id)
    for tenant_id in (one, other):
        await ask(ledger, tenant_id)
    before, read = jobs(), jobs("read_usage")

    run = new_id()
    first = await ask(ledger, one, run)
    assert jobs() - before == 1
    assert await ask(ledger, one, run) == first
    assert [type(answer) for answer in await asyncio.gather(ask(ledger, one), ask(ledger, other))] == [Reservation] * 2
    assert jobs() - before <= 4
    assert jobs("read_usage") == read
    assert {type(answer) for answer in await asyncio.gather(ask(ledger, one), ask(ledger, one))} == {Reservation, ResourceExhausted}
    assert jobs("read_usage") > read
    assert (await ledger.usage(one)).pipelines_run_today == 4


async def test_several_requests_of_a_tenant_whose_limits_are_far_away_take_one_statement(ledger: Ledger, provision: Provision) -> None:
    """Beside those of others. If the limits were not so far away after all, no request is answered otherwise for it."""
    one, other = await provision(name="_a", daily_limit=20, concurrent_limit=40), await provision(name="_b")
    for tenant_id in (one, other):
        await ask(ledger, tenant_id)
    before = jobs()
    calls = [ask(ledger, one) for _ in range(4)] + [ask(ledger, other) for _ in range(3)]
    assert {type(answer) for answer in await asyncio.gather(*calls)} == {Reservation}
    assert jobs() - before <= 2, "the first goes alone, the others follow"
    usages = [await ledger.usage(tenant_id) for tenant_id in (one, other)]
    assert [usage.pipelines_run_today for usage in usages] == [5, 4]


async def test_limits_that_another_process_has_used_up_meanwhile_are_exact(
    store: AuthStore, clock: SetClock, provision: Provision, ledger: Ledger
) -> None:
    """This process expects room for all, and is wrong: of the tenant's requests as many are granted as there is room for."""
    tenant_id, other = await provision(name="_a", daily_limit=20), await provision(name="_b")
    for one in (tenant_id, other):
        await ask(ledger, one)
    async with Ledger(store, clock, lease=LEASE) as elsewhere:
        for _ in range(2):
            await asyncio.gather(*(ask(elsewhere, tenant_id) for _ in range(8)))
    answers = await asyncio.gather(*(ask(ledger, one) for one in (other, *[tenant_id] * 6)))
    assert [isinstance(answer, Reservation) for answer in answers] == [True] * 4 + [False] * 3
    assert {answer.reason for answer in answers if isinstance(answer, ResourceExhausted)} == {"DAILY_LIMIT_REACHED"}
    assert (await ledger.usage(tenant_id)).pipelines_run_today == 20


async def test_a_limit_of_cost_is_read_beside_the_reservation(bq: BigQuery, clock: SetClock, provision: Provision) -> None:
    """The answer to a lone request is there after the longer of the two, granted or refused."""
    store = Simultaneous(bq)
    tenant_id = await provision(monthly_cost_limit_usd=10.0, daily_limit=1)
    async with Ledger(store, clock, lease=LEASE) as ledger:
        await ledger.usage(tenant_id)
        store.both, before = asyncio.Barrier(2), jobs()
        granted = await ask(ledger, tenant_id)
        assert isinstance(granted, Reservation)
        assert granted.month_left_usd == 10.0
        refused = await ask(ledger, tenant_id)
        assert isinstance(refused, ResourceExhausted)
        assert refused.reason == "DAILY_LIMIT_REACHED"
        assert jobs() - before == 4


async def test_equal_questions_at_once_are_one_statement_and_none_while_nothing_has_changed(
    ledger: Ledger, store: AuthStore, clock: SetClock, provision: Provision
) -> None:
    """Of several tenants, too. Each change shows in the answer to the next question: by this process or another, by time alone."""
    one, other = await provision(name="_a"), await provision(name="_b", concurrent_limit=3)
    for tenant_id in (one, other):
        await ledger.usage(tenant_id)
    run = new_id()
    slot = await ask(ledger, one, run)
    before = jobs()
    answers = await asyncio.gather(*(ledger.usage(tenant_id) for _ in range(16) for tenant_id in (one, other)))
    assert [answer.pipelines_run_today for answer in answers] == [1, 0] * 16
    assert jobs() - before <= 2, "the first question goes alone"
    before = jobs()
    for _ in range(3):
        assert [await ledger.usage(tenant_id) for tenant_id in (one, other)] == [*answers[:2]]
    assert jobs() == before

    await ledger.settle([settlement(one, run, slot)])
    assert (await ledger.usage(one)).concurrent_pipelines_running == 0
    async with Ledger(store, clock, lease=LEASE) as elsewhere:
        assert isinstance(await ask(elsewhere, other), Reservation)
    assert (await ledger.usage(other)).concurrent_pipelines_running == 1
    clock.time += LEASE
    assert (await ledger.usage(other)).concurrent_pipelines_running == 0
    assert (await ledger.usage(other)).pipelines_run_today == 1


async def test_what_this_process_has_answered_shows_at_once_and_what_others_have_a_moment_later(
    store: AuthStore, clock: SetClock, provision: Provision
) -> None:
    """However long answers are taken from memory."""
    tenant_id, runs = await provision(), [new_id() for _ in range(3)]
    async with Ledger(store, clock, lease=LEASE, usage_known_seconds=3600) as ledger, Ledger(store, clock, lease=LEASE) as elsewhere:
        for number, run in enumerate(runs, 1):
            slot = await ask(ledger, tenant_id, run)
            assert (await ledger.usage(tenant_id)).concurrent_pipelines_running == 1
            await ledger.settle([settlement(tenant_id, run, slot)])
            usage = await ledger.usage(tenant_id)
            assert (usage.concurrent_pipelines_running, usage.pipelines_succeeded_today) == (0, number)
        before = jobs()
        assert {await ledger.usage(tenant_id) for _ in range(50)} == {usage}
        await ask(elsewhere, tenant_id)
        assert await ledger.usage(tenant_id) == usage, "its hour has not passed"
        assert jobs() - before == 2, "another process's reservation, and no question"
        await ask(ledger, tenant_id)
        assert (await ledger.usage(tenant_id)).concurrent_pipelines_running == 1, "this process's own"
        assert jobs() - before == 3, "and no question"
        ledger.doubt(tenant_id)
        assert (await ledger.usage(tenant_id)).concurrent_pipelines_running == 2


async def test_what_memory_makes_of_a_change_is_what_a_reading_shows(store: AuthStore, clock: SetClock, provision: Provision) -> None:
    """Of reservations and of each kind of end. A settlement that is only collected shows as it will be."""
    tenant_id, cost, ids = await provision(), RecordedUsage(cost_usd=0.25), [new_id() for _ in range(6)]
    async with Ledger(store, clock, lease=LEASE, usage_known_seconds=3600, batch_window_seconds=3600) as ledger:

        async def shown() -> Usage:
            before = jobs()
            usage = await ledger.usage(tenant_id)
            assert jobs() == before, "memory suffices"
            return usage

        async def read() -> Usage:
            return (await store.read_usage([tenant_id], [], clock.now(), utc_day(clock.now())))[tenant_id]

        await ledger.usage(tenant_id)
        slots = [await ask(ledger, tenant_id, run, is_retry=run == ids[5]) for run in (*ids, ids[0])]
        assert await shown() == await read()
        outcomes = ["COMPLETED", "FAILED", "CANCELLED", "NOT_STARTED", "COMPLETED", "NOT_STARTED"]
        ends = [settlement(tenant_id, *of) for of in zip(ids, slots, outcomes, strict=False)]
        await ledger.settle([*ends[:4], replace(ends[4], cost=cost), ends[5]])
        settled = await shown()
        assert settled == await read()
        collected = asyncio.create_task(ledger.settle([replace(ends[0], cost=cost), replace(ends[2], cost=cost)]))
        await asyncio.sleep(0)
        assert (await shown()).cost_usd_month == settled.cost_usd_month + 0.5
        assert not collected.done()
        await ledger.active_runs(tenant_id)
        await collected
        assert await shown() == await read()


async def test_a_tenant_that_was_refused_a_run_is_shown_why(store: AuthStore, clock: SetClock, provision: Provision) -> None:
    """Though another process has used up what was left a moment before."""
    tenant_id = await provision(daily_limit=1)
    async with Ledger(store, clock, lease=LEASE, usage_known_seconds=3600) as ledger, Ledger(store, clock, lease=LEASE) as elsewhere:
        assert (await ledger.usage(tenant_id)).pipelines_run_today == 0
        await ask(elsewhere, tenant_id)
        assert (await ledger.usage(tenant_id)).pipelines_run_today == 0
        assert isinstance(await ask(ledger, tenant_id), ResourceExhausted)
        assert (await ledger.usage(tenant_id)).pipelines_run_today == 1


async def test_settling_frees_the_slot_and_counts_once(ledger: Ledger, provision: Provision) -> None:
    tenant_id, done, broken = await provision(concurrent_limit=2), new_id(), new_id()
    first, second = await ask(ledger, tenant_id, done), await ask(ledger, tenant_id, broken)
    refused = await ask(ledger, tenant_id)

    for _ in range(2):
        await ledger.settle([settlement(tenant_id, done, first), settlement(tenant_id, broken, second, "FAILED")])

    usage = await ledger.usage(tenant_id)
    assert isinstance(refused, ResourceExhausted)
    assert refused.reason == "CONCURRENT_LIMIT_REACHED"
    counts = usage.pipelines_succeeded_today, usage.pipelines_failed_today, usage.concurrent_pipelines_running, usage.pipelines_run_today
    assert counts == (1, 1, 0, 2)
    assert isinstance(await ask(ledger, tenant_id), Reservation)


async def test_a_run_that_never_started_gives_its_units_back(ledger: Ledger, provision: Provision) -> None:
    tenant_id, reservation_id = await provision(daily_limit=1, monthly_limit=1), new_id()
    slot = await ask(ledger, tenant_id, reservation_id)

    await ledger.settle([settlement(tenant_id, reservation_id, slot, "NOT_STARTED")])

    usage = await ledger.usage(tenant_id)
    assert (usage.pipelines_run_today, usage.pipelines_run_month, usage.concurrent_pipelines_running) == (0, 0, 0)
    assert isinstance(await ask(ledger, tenant_id), Reservation)


async def test_a_retry_takes_a_slot_but_no_unit(ledger: Ledger, provision: Provision) -> None:
    tenant_id = await provision(daily_limit=1, concurrent_limit=2)
    await ask(ledger, tenant_id)

    retry, another = await ask(ledger, tenant_id, is_retry=True), await ask(ledger, tenant_id, is_retry=True)

    usage = await ledger.usage(tenant_id)
    assert isinstance(retry, Reservation)
    assert isinstance(another, ResourceExhausted)
    assert (usage.pipelines_run_today, usage.concurrent_pipelines_running) == (1, 2)


async def test_a_slot_that_is_not_renewed_frees_itself_and_stays_listed(ledger: Ledger, clock: SetClock, provision: Provision) -> None:
    tenant_id, lost = await provision(concurrent_limit=1), new_id()
    await ask(ledger, tenant_id, lost)
    assert isinstance(await ask(ledger, tenant_id), ResourceExhausted)

    clock.time += LEASE + timedelta(seconds=1)

    assert isinstance(await ask(ledger, tenant_id), Reservation)
    assert lost in {one.reservation_id for one in await ledger.expired()}
    assert lost not in (await ledger.renew([lost])).held


async def test_expired_leases_are_read_only_if_there_may_be_one(ledger: Ledger, clock: SetClock, provision: Provision) -> None:
    """Executors ask every third of a lease. The table is read again when the lease that ends first has ended."""
    clock.time += timedelta(days=400)  # no other test's leases are looked for then
    tenant_id, run = await provision(), new_id()
    assert await ledger.expired() == []
    before = asked("list_leases")
    for _ in range(5):
        clock.time += LEASE / 3
        assert await ledger.expired() == []
    assert asked("list_leases") == before
    slot = await ask(ledger, tenant_id, run)

    for _ in range(2):
        clock.time += LEASE / 3
        assert await ledger.expired() == []
    clock.time += LEASE / 3
    assert [one.reservation_id for one in await ledger.expired()] == [run]

    assert asked("list_leases") - before <= 2
    await ledger.settle([settlement(tenant_id, run, slot, "FAILED")])
    assert await ledger.expired() == []


async def test_a_run_that_asks_again_after_its_lease_takes_a_slot_but_no_second_unit(
    ledger: Ledger, clock: SetClock, provision: Provision
) -> None:
    """Its executor died before the run began, and it is started again under the same id."""
    tenant_id, again = await provision(daily_limit=1, concurrent_limit=1), new_id()
    await ask(ledger, tenant_id, again)
    clock.time += LEASE + timedelta(seconds=1)

    slot = await ask(ledger, tenant_id, again)

    usage = await ledger.usage(tenant_id)
    assert isinstance(slot, Reservation)
    assert (usage.pipelines_run_today, usage.concurrent_pipelines_running) == (1, 1)
    assert (await ledger.renew([again])).held == {again}
    assert again not in {one.reservation_id for one in await ledger.expired()}


async def test_asking_again_puts_the_end_of_the_lease_off(ledger: Ledger, clock: SetClock, provision: Provision) -> None:
    tenant_id, again = await provision(concurrent_limit=1), new_id()
    await ask(ledger, tenant_id, again)
    clock.time += LEASE * 2 / 3
    await ask(ledger, tenant_id, again)
    clock.time += LEASE * 2 / 3
    assert (await ledger.renew([again])).held == {again}
    assert isinstance(await ask(ledger, tenant_id), ResourceExhausted)


async def test_renewing_keeps_the_slot(ledger: Ledger, clock: SetClock, provision: Provision) -> None:
    tenant_id, alive, other = await provision(concurrent_limit=1), new_id(), new_id()
    await ask(ledger, tenant_id, alive)

    for _ in range(3):
        clock.time += LEASE * 2 / 3
        assert (await ledger.renew([alive, other])).held == {alive}

    assert isinstance(await ask(ledger, tenant_id), ResourceExhausted)
    assert alive not in {one.reservation_id for one in await ledger.expired()}


async def test_midnight_keeps_the_slot_once_and_counts_on_the_day_of_the_reservation(
    ledger: Ledger, clock: SetClock, provision: Provision, bq: BigQuery
) -> None:
    clock.time = datetime(2026, 3, 10, 23, 59, 30, tzinfo=UTC)
    tenant_id, over, dead = await provision(concurrent_limit=2, daily_limit=2), new_id(), new_id()
    slot = await ask(ledger, tenant_id, over)
    await ask(ledger, tenant_id, dead)

    clock.time += timedelta(seconds=50)
    await ledger.renew([over, dead])
    morning = await ledger.usage(tenant_id)
    refused = await ask(ledger, tenant_id)
    await ledger.settle([settlement(tenant_id, over, slot)])
    after = await ledger.usage(tenant_id)

    row = make_block("row", "SELECT * FROM tenant_usage_quotas WHERE tenant_id = @t AND usage_date = '2026-03-10'", {"t": "STRING"})
    [yesterday] = (await bq.query(row, {"t": tenant_id}, dataset=bq.control())).rows
    assert (morning.pipelines_run_today, morning.pipelines_run_month, morning.concurrent_pipelines_running) == (0, 2, 2)
    assert isinstance(refused, ResourceExhausted)
    assert refused.reason == "CONCURRENT_LIMIT_REACHED"
    assert (after.concurrent_pipelines_running, after.pipelines_succeeded_today) == (1, 0)
    names = ("pipelines_succeeded_today", "concurrent_pipelines_running", "pipelines_run_today")
    assert [yesterday[name] for name in names] == [1, 0, 2]


async def test_a_day_that_was_made_and_not_opened_grants_nothing_before_what_is_alive_has_moved_in(
    ledger: Ledger, clock: SetClock, provision: Provision, bq: BigQuery
) -> None:
    """Who opened it died between its two statements."""
    clock.time = datetime(2026, 3, 10, 23, 59, 30, tzinfo=UTC)
    tenant_id, over = await provision(concurrent_limit=1), new_id()
    slot = await ask(ledger, tenant_id, over)
    clock.time += timedelta(seconds=50)
    closed = (
        "INSERT INTO tenant_usage_quotas (tenant_id, usage_date, pipelines_run_today, concurrent_pipelines_running) VALUES (@t, @d, 0, -1)"
    )
    params = {"t": tenant_id, "d": utc_day(clock.now())}
    await bq.query(make_block("closed", closed, {"t": "STRING", "d": "DATE"}), params, dataset=bq.control())

    refused = await ask(ledger, tenant_id)
    await ledger.settle([settlement(tenant_id, over, slot)])

    assert isinstance(refused, ResourceExhausted)
    assert refused.reason == "CONCURRENT_LIMIT_REACHED"
    assert isinstance(await ask(ledger, tenant_id), Reservation)
    usage = await ledger.usage(tenant_id)
    assert (usage.pipelines_run_today, usage.pipelines_run_month) == (1, 2)


async def test_a_new_month_starts_at_zero(ledger: Ledger, clock: SetClock, provision: Provision) -> None:
    clock.time = datetime(2026, 3, 31, 12, tzinfo=UTC)
    tenant_id = await provision(monthly_limit=1)
    await ask(ledger, tenant_id)
    refused = await ask(ledger, tenant_id)

    clock.time = datetime(2026, 4, 1, 0, 0, 1, tzinfo=UTC)

    assert isinstance(refused, ResourceExhausted)
    assert (refused.reason, refused.retry_after) == ("MONTHLY_LIMIT_REACHED", timedelta(hours=12))
    assert isinstance(await ask(ledger, tenant_id), Reservation)


async def test_without_an_active_subscription_nothing_runs(ledger: Ledger, provision: Provision) -> None:
    tenant_id = await provision(subscription_status="PAST_DUE")
    with pytest.raises(PermissionDenied):
        await ledger.reserve(tenant_id, new_id(), is_retry=False)


async def test_rows_of_the_subscription_system_leave_what_they_do_not_know_null(
    ledger: Ledger, provision: Provision, bq: BigQuery, clock: SetClock
) -> None:
    """A row with the documented columns only: its NULL limits are the subscription's, its NULL counters are zero."""
    tenant_id = await provision(daily_limit=1)
    insert = "INSERT INTO tenant_usage_quotas (tenant_id, usage_date, pipelines_run_today) VALUES (@tenant_id, @today, 0)"
    block = make_block("foreign_row", insert, {"tenant_id": "STRING", "today": "DATE"})
    await bq.query(block, {"tenant_id": tenant_id, "today": utc_day(clock.now())}, dataset=bq.control())

    first, second = await ask(ledger, tenant_id), await ask(ledger, tenant_id)

    assert isinstance(first, Reservation)
    assert isinstance(second, ResourceExhausted)
    assert second.reason == "DAILY_LIMIT_REACHED"


async def test_the_first_run_of_the_day_makes_one_row_however_many_ask(
    store: AuthStore, clock: SetClock, provision: Provision, bq: BigQuery
) -> None:
    """Three processes open the same tenant's day at once."""
    tenant_id = await provision()

    await asyncio.gather(*(store.open_day([tenant_id], clock.now(), utc_day(clock.now())) for _ in range(3)))

    block = make_block("count_rows", "SELECT COUNT(*) AS n FROM tenant_usage_quotas WHERE tenant_id = @t", {"t": "STRING"})
    assert (await bq.query(block, {"t": tenant_id}, dataset=bq.control())).rows == [{"n": 1}]


class Simultaneous(AuthStore):
    """The statement that reserves ends when the one that reads has begun, and the other way round."""

    both: asyncio.Barrier | None = None

    async def read_usage(self, tenant_ids: Sequence[str], ids: Sequence[str], now: datetime, today: date) -> dict[str, Usage]:
        await self._meet()
        return await super().read_usage(tenant_ids, ids, now, today)

    async def reserve(
        self, requests: Sequence[ReservationRequest], now: datetime, today: date, lease_expires_at: datetime, *, all_or_none: bool = False
    ) -> int:
        await self._meet()
        return await super().reserve(requests, now, today, lease_expires_at, all_or_none=all_or_none)

    async def _meet(self) -> None:
        if self.both is not None:
            async with asyncio.timeout(20):
                await self.both.wait()


class Interrupted(AuthStore):
    """Something happens between the statement that reserves and the one that reads what it granted."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def read_usage(self, tenant_ids: Sequence[str], ids: Sequence[str], now: datetime, today: date) -> dict[str, Usage]:
        happens, self.meanwhile = self.meanwhile, None
        if happens is not None:
            await happens()
        return await super().read_usage(tenant_ids, ids, now, today)


async def test_a_day_that_another_process_opens_meanwhile_refuses_no_reservation(
    bq: BigQuery, ledger: Ledger, clock: SetClock, provision: Provision
) -> None:
    """The row was not there for the UPDATE, and is there for the SELECT."""
    unlimited, limited = await provision(name="_a"), await provision(name="_b", daily_limit=1)
    store = Interrupted(bq)
    store.meanwhile = lambda: asyncio.gather(ledger.usage(unlimited), ledger.usage(limited))
    async with Ledger(store, clock, lease=LEASE) as slow:
        answers = await asyncio.gather(ask(slow, unlimited), ask(slow, limited), ask(slow, limited))
    assert [type(answer) for answer in answers] == [Reservation, Reservation, ResourceExhausted]


async def test_a_slot_that_comes_free_meanwhile_is_taken(bq: BigQuery, ledger: Ledger, clock: SetClock, provision: Provision) -> None:
    tenant_id, first = await provision(concurrent_limit=1), new_id()
    slot = await ask(ledger, tenant_id, first)
    store = Interrupted(bq)
    store.meanwhile = lambda: ledger.settle([settlement(tenant_id, first, slot)])
    async with Ledger(store, clock, lease=LEASE) as other:
        answers = await asyncio.gather(ask(other, tenant_id), ask(other, tenant_id))
    assert {type(answer) for answer in answers} == {Reservation, ResourceExhausted}
    assert (await ledger.usage(tenant_id)).pipelines_run_today == 2


async def test_a_gathered_settlement_goes_first_when_its_tenant_lacks_the_slot_and_for_no_other_tenant(
    store: AuthStore, clock: SetClock, provision: Provision
) -> None:
    """Settlements of an hour gather; the first one, which would go at once, has gone."""
    full, other = await provision(name="_a", concurrent_limit=1), await provision(name="_b", concurrent_limit=1)
    async with Ledger(store, clock, lease=LEASE, batch_window_seconds=3600) as ledger:
        gone, ended = new_id(), new_id()
        await ledger.settle([settlement(other, gone, await ask(ledger, other, gone))])
        slot = await ask(ledger, full, ended)
        gathered = asyncio.create_task(ledger.settle([settlement(full, ended, slot)]))
        await asyncio.sleep(0)

        assert isinstance(await ask(ledger, other), Reservation)
        assert not gathered.done()
        assert isinstance(await ask(ledger, full), Reservation)
        await gathered
        usage = await ledger.usage(full)
    assert (usage.pipelines_run_today, usage.concurrent_pipelines_running) == (2, 1)


async def test_one_look_tells_for_any_tenants_which_runs_hold_a_slot(ledger: Ledger, clock: SetClock, provision: Provision) -> None:
    """Reserved by this process or another; not ended ones, unknown ones, and those that were not renewed. Looking renews nothing."""
    one, other = await provision(name="_a"), await provision(name="_b")
    mine, theirs, ended = new_id(), new_id(), new_id()
    for tenant_id, run in ((one, mine), (other, theirs)):
        await ask(ledger, tenant_id, run)
    await ledger.settle([settlement(one, ended, await ask(ledger, one, ended))])

    assert await ledger.check([mine, theirs, ended, new_id()]) == {mine, theirs}
    assert await ledger.check([theirs]) == {theirs}
    assert await ledger.check([]) == frozenset()
    clock.time += LEASE
    assert await ledger.check([mine, theirs]) == frozenset()


async def test_runs_that_keep_their_slots_are_looked_at_for_nothing(
    ledger: Ledger, store: AuthStore, clock: SetClock, provision: Provision
) -> None:
    """One reading after the reservation, one after each renewal; and one after a change by another process, which the next look sees."""
    tenant_id, run, other = await provision(), new_id(), new_id()
    slot = await ask(ledger, tenant_id, run)
    await ask(ledger, tenant_id, other)
    before = asked()

    for _ in range(4):
        assert await ledger.check([run, other]) == {run, other}
    assert asked() - before == 1

    clock.time += LEASE / 2
    assert (await ledger.renew([run, other])).held == {run, other}
    for _ in range(4):
        assert await ledger.check([run]) == {run}
    assert asked() - before == 3

    async with Ledger(store, clock, lease=LEASE) as elsewhere:
        await elsewhere.settle([settlement(tenant_id, run, slot, "CANCELLED")])
    assert await ledger.check([run, other]) == {other}
    assert asked() - before == 5

    clock.time += LEASE
    assert await ledger.check([other]) == frozenset()
    assert asked() - before == 5
