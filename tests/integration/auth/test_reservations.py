"""What a reservation took is written down when it is granted, and given back from there: once, on its day, whatever happens meanwhile."""

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.auth.ledger import Ledger
from services.auth.store import AuthStore, RecordedUsage, Settlement
from services.auth.usage.reserver import Reservation
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import make_block
from services.platform.clock import utc_day
from services.platform.plan import DEFAULT_PLAN
from services.platform.settings import REPOSITORY
from tests.integration.auth.conftest import LEASE, Provision
from tests.support.counting import jobs
from tests.support.set_clock import SetClock

BEFORE_MIDNIGHT = datetime(2027, 3, 31, 23, 59, 30, tzinfo=UTC)


def never_began(tenant_id: str, run: str, slot: Reservation, *, only_if_expired: bool = False) -> Settlement:
    return Settlement(
        tenant_id=tenant_id, reservation_id=run, usage_date=slot.usage_date, outcome="NOT_STARTED", only_if_expired=only_if_expired
    )


async def counts(ledger: Ledger, tenant_id: str) -> tuple[int, int, int]:
    usage = await ledger.usage(tenant_id)
    return usage.pipelines_run_today, usage.pipelines_run_month, usage.concurrent_pipelines_running


async def kept(bq: BigQuery, tenant_id: str) -> list[tuple[str, int, str]]:
    sql = (
        "SELECT r.reservation_id, r.units, r.trigger_type FROM tenant_usage_quotas AS q, UNNEST(q.reservations) AS r "
        "WHERE q.tenant_id = @t ORDER BY r.reservation_id"
    )
    rows = (await bq.query(make_block("kept", sql, {"t": "STRING"}), {"t": tenant_id}, dataset=bq.control())).rows
    return [(row["reservation_id"], row["units"], row["trigger_type"]) for row in rows]


async def test_a_reservation_says_what_it_took_and_for_whom_until_it_is_settled(
    ledger: Ledger, clock: SetClock, provision: Provision, bq: BigQuery
) -> None:
    """A replay changes neither, whatever it says. A retry gives back nothing, the others a unit each, once."""
    tenant_id = await provision()
    first = await ledger.reserve(tenant_id, "a-first", is_retry=False, trigger_type="api")
    retry = await ledger.reserve(tenant_id, "b-retry", is_retry=True, trigger_type="scheduler")
    other = await ledger.reserve(tenant_id, "c-other", is_retry=False, trigger_type="backfill")
    await ledger.reserve(tenant_id, "b-retry", is_retry=False, trigger_type="api")
    assert await kept(bq, tenant_id) == [("a-first", 1, "api"), ("b-retry", 0, "scheduler"), ("c-other", 1, "backfill")]
    assert await counts(ledger, tenant_id) == (2, 2, 3)

    clock.time += LEASE + timedelta(seconds=1)
    expired = {one.reservation_id: one.trigger_type for one in await ledger.expired() if one.tenant_id == tenant_id}
    for _ in range(2):
        await ledger.settle([never_began(tenant_id, "a-first", first), never_began(tenant_id, "b-retry", retry)])

    assert expired == {"a-first": "api", "b-retry": "scheduler", "c-other": "backfill"}
    assert await counts(ledger, tenant_id) == (1, 1, 0)
    assert await kept(bq, tenant_id) == [("c-other", 1, "backfill")]
    again = await ledger.reserve(tenant_id, "a-first", is_retry=False, trigger_type="api")
    await ledger.settle([never_began(tenant_id, "a-first", again), never_began(tenant_id, "c-other", other)])
    assert (await counts(ledger, tenant_id), await kept(bq, tenant_id)) == ((0, 0, 0), [])


@pytest.mark.parametrize("opened_by", ["reset", "reservation"])
async def test_units_are_given_back_on_the_day_and_in_the_month_that_they_were_taken(
    ledger: Ledger, store: AuthStore, clock: SetClock, provision: Provision, bq: BigQuery, opened_by: str
) -> None:
    """Its lease was renewed over midnight, at the end of a month, and the caller of Settle knows a later day only."""
    clock.time = BEFORE_MIDNIGHT
    tenant_id, run = await provision(), str(uuid.uuid4())
    await ledger.reserve(tenant_id, run, is_retry=False, trigger_type="api")
    clock.time += timedelta(seconds=40)
    await ledger.renew([run])
    await (ledger.reset() if opened_by == "reset" else ledger.usage(tenant_id))
    slot = await ledger.reserve(tenant_id, run, is_retry=False, trigger_type="api")
    assert (slot.usage_date, await counts(ledger, tenant_id)) == (utc_day(clock.now()), (0, 0, 1))
    clock.time += LEASE + timedelta(seconds=1)
    [expired] = [one for one in await ledger.expired() if one.reservation_id == run]

    await ledger.settle([never_began(tenant_id, run, slot, only_if_expired=True)])

    yesterday = utc_day(BEFORE_MIDNIGHT)
    [before] = (await store.read_usage([tenant_id], [], clock.now(), yesterday)).values()
    assert expired.usage_date == yesterday
    assert await counts(ledger, tenant_id) == (0, 0, 0)
    assert (before.pipelines_run_today, before.pipelines_run_month) == (0, 0)


async def test_a_reservation_that_was_made_again_meanwhile_is_left_alone(ledger: Ledger, clock: SetClock, provision: Provision) -> None:
    """The reconciler saw it expired; then the client's second call with the same key reserved again."""
    tenant_id, run = await provision(), str(uuid.uuid4())
    slot = await ledger.reserve(tenant_id, run, is_retry=False, trigger_type="api")
    clock.time += LEASE + timedelta(seconds=1)
    assert run in {one.reservation_id for one in await ledger.expired()}
    await ledger.reserve(tenant_id, run, is_retry=False, trigger_type="api")

    await ledger.settle([never_began(tenant_id, run, slot, only_if_expired=True)])

    assert await counts(ledger, tenant_id) == (1, 1, 1)
    assert await ledger.check([run]) == {run}
    clock.time += LEASE + timedelta(seconds=1)
    await ledger.settle([never_began(tenant_id, run, slot, only_if_expired=True)])
    assert await counts(ledger, tenant_id) == (0, 0, 0)


@pytest.mark.parametrize("ended", ["the same day", "after midnight"])
async def test_a_run_that_begins_after_all_is_counted_after_all(
    ledger: Ledger, clock: SetClock, provision: Provision, bq: BigQuery, ended: str
) -> None:
    """Its executor stood still between the reservation and the row: the reconciler saw no row and gave the unit back, the run then ended.
    Once, with its cost, and in the month that today's row carries on.
    """
    clock.time = datetime(2027, 3, 30, 23, 50, tzinfo=UTC)
    tenant_id, run = await provision(), str(uuid.uuid4())
    slot = await ledger.reserve(tenant_id, run, is_retry=False, trigger_type="api")
    clock.time += LEASE + timedelta(seconds=1)
    for _ in range(2):
        await ledger.settle([never_began(tenant_id, run, slot, only_if_expired=True)])
    assert (await counts(ledger, tenant_id), await kept(bq, tenant_id)) == ((0, 0, 0), [(run, 1, "api")])
    assert await ledger.check([run]) == set()
    if ended == "after midnight":
        clock.time += timedelta(hours=1)
        await ledger.reset()

    cost = RecordedUsage(bytes_billed=1, bytes_read=2, slot_ms=3, cost_usd=0.5)
    failed = Settlement(tenant_id=tenant_id, reservation_id=run, usage_date=slot.usage_date, outcome="FAILED", cost=cost)
    for _ in range(2):
        await ledger.settle([failed])

    usage = await ledger.usage(tenant_id)
    today = int(ended == "the same day")
    assert (usage.pipelines_run_today, usage.pipelines_run_month, usage.pipelines_failed_today) == (today, 1, today)
    assert (usage.cost_usd_month, usage.concurrent_pipelines_running, await kept(bq, tenant_id)) == (0.5, 0, [])


async def test_what_is_known_not_to_begin_leaves_nothing(ledger: Ledger, provision: Provision, bq: BigQuery) -> None:
    """The executor itself gives the reservation back, before it writes a row: an end that says otherwise counts nothing."""
    tenant_id, run = await provision(), str(uuid.uuid4())
    slot = await ledger.reserve(tenant_id, run, is_retry=False, trigger_type="api")
    await ledger.settle([never_began(tenant_id, run, slot)])
    await ledger.settle([Settlement(tenant_id=tenant_id, reservation_id=run, usage_date=slot.usage_date, outcome="FAILED")])
    assert (await counts(ledger, tenant_id), await kept(bq, tenant_id)) == ((0, 0, 0), [])


async def test_a_reservation_of_an_older_release_gives_one_unit_back(
    ledger: Ledger, clock: SetClock, provision: Provision, bq: BigQuery
) -> None:
    tenant_id, run = await provision(), str(uuid.uuid4())
    slot = await ledger.reserve(tenant_id, run, is_retry=False, trigger_type="api")
    forget = make_block("forget", "UPDATE tenant_usage_quotas SET reservations = NULL WHERE tenant_id = @t", {"t": "STRING"})
    await bq.query(forget, {"t": tenant_id}, dataset=bq.control())
    clock.time += LEASE + timedelta(seconds=1)
    [expired] = [one for one in await ledger.expired() if one.reservation_id == run]

    await ledger.settle([never_began(tenant_id, run, slot)])

    assert (expired.trigger_type, await counts(ledger, tenant_id)) == (None, (0, 0, 0))


async def test_a_reservation_says_what_its_run_may_read(ledger: Ledger, provision: Provision) -> None:
    """Read back or known: the number is the plan's, else the default, and costs no statement of its own."""
    small, usual = await provision(name="_s", max_export_bytes=1_000), await provision(name="_u")
    for tenant_id in (small, usual):
        await ledger.usage(tenant_id)
    read = [(await ledger.reserve(one, str(uuid.uuid4()), is_retry=False)).max_export_bytes for one in (small, usual)]
    before = jobs()
    known = [(await ledger.reserve(one, str(uuid.uuid4()), is_retry=False)).max_export_bytes for one in (small, usual)]
    assert read == known == [1_000, DEFAULT_PLAN.max_export_bytes]
    assert jobs() - before == 2


async def test_the_ledger_of_an_older_release_gets_the_column(bq: BigQuery, tenant_id: str) -> None:
    """As the bootstrap adds it, beside a row that is there."""
    table = load_tables(REPOSITORY / "configs" / "bigquery" / "control")["tenant_usage_quotas"]
    old = re.sub(r",\n  reservations [^\n]*\n", "\n", table.sql).replace(table.name, f"{table.name}_{tenant_id}")
    new = replace(table, name=f"{table.name}_{tenant_id}")
    row = f"INSERT INTO {new.name} (tenant_id, usage_date) VALUES ('acme', DATE '2026-03-10')"
    try:
        for sql in (
            make_block("old", old, {}),
            make_block("row", row, {}),
            new.add_columns(["reservations"]),
            new.add_columns(["reservations"]),
        ):
            await bq.query(sql, {}, dataset=bq.control())
        found = await bq.query(make_block("found", f"SELECT reservations FROM {new.name}", {}), {}, dataset=bq.control())
    finally:
        await bq.query(make_block("drop", f"DROP TABLE IF EXISTS {new.name}", {}), {}, dataset=bq.control())
    assert [row["reservations"] or [] for row in found.rows] == [[]]
