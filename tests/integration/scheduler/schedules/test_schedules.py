"""A schedule's life and its backfills: made, read, changed, deleted."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf import json_format

from services.scheduler.ids import backfill_run_id
from services.scheduler.schedules.schedule import Change
from services.scheduler.schedules.store import ScheduleStore
from tests.integration.scheduler.schedules.conftest import NOON, Api, refusal
from tests.support.counting import jobs


async def test_a_schedule_lives(api: Api) -> None:
    """Made, read, listed, changed and taken away, each within its budget of statements."""
    before = jobs()
    made = await api.create(parameters={"date": "yesterday", "note": "x"})
    spent = [jobs() - before]
    assert (made.provider, made.priority, made.max_retries, made.is_active, made.catch_up) == ("gcp", 50, 3, True, "days")
    assert (made.created_by_user_id, json_format.MessageToDict(made.parameters)) == ("alice", {"date": "yesterday", "note": "x"})
    assert made.next_run_time.ToDatetime(UTC) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert [fire.local for fire in made.next_fire_times][:2] == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    assert (made.next_fire_times[0].note != "", made.next_fire_times[1].note, len(made.next_fire_times)) == (True, "", 5)

    before = jobs()
    assert await api.get(made.config_id) == made
    spent.append(jobs() - before)
    other = await api.create(domain="cost", pipeline_template="dateless", is_active=False, priority=0, max_retries=0)
    before = jobs()
    assert [one.config_id for one in await api.all()] == [made.config_id, other.config_id]
    spent.append(jobs() - before)
    assert (other.is_active, other.priority, other.max_retries, len(other.next_fire_times)) == (False, 0, 0, 0)
    assert other.catch_up == "latest"
    fixed = await api.patch(made.config_id, parameters={"date": "2026-03-01"})
    assert (fixed.catch_up, fixed) == ("latest", await api.get(made.config_id))
    made = await api.patch(made.config_id, parameters={"date": "yesterday", "note": "x"})
    assert made.catch_up == "days"

    before = jobs()
    changed = await api.patch(made.config_id, priority=0, max_retries=0)
    spent.append(jobs() - before)
    assert changed == await api.get(made.config_id)
    assert (changed.priority, changed.max_retries, changed.schedule_cron, changed.is_active) == (0, 0, "30 2 * * *", True)
    assert (changed.next_run_time, changed.parameters, changed.timezone) == (made.next_run_time, made.parameters, "Europe/Berlin")

    before = jobs()
    assert (await api.delete(made.config_id)).action == "DELETED"
    spent.append(jobs() - before)
    assert spent == [1, 1, 1, 2, 1]
    assert (await refusal(api.get(made.config_id)))[0] == "NOT_FOUND"
    assert (await refusal(api.delete(made.config_id)))[0] == "NOT_FOUND"
    assert (await refusal(api.patch(made.config_id, priority=1)))[0] == "NOT_FOUND"


async def test_bad_input_names_its_field_and_stores_nothing(api: Api) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"schedule_cron": "* * * * * *"}, "schedule_cron"),
        ({"schedule_cron": "*/90 * * * *"}, "schedule_cron"),
        ({"schedule_cron": ""}, "schedule_cron"),
        ({"timezone": "Factory"}, "timezone"),
        ({"priority": 101}, "priority"),
        ({"priority": -1}, "priority"),
        ({"max_retries": 11}, "max_retries"),
        ({"catch_up": "some"}, "catch_up"),
        ({"parameters": {"nope": 1}}, "parameters.nope"),
        ({"provider": ""}, "provider"),
    ]
    for fields, name in cases:
        assert await refusal(api.create(**fields)) == ("INVALID_ARGUMENT", name)
    assert (await refusal(api.create(pipeline_template="nothing")))[0] == "NOT_FOUND"
    assert await api.all() == []

    made = await api.create()
    for fields, name in [*cases[:2], *cases[3:9], ({"timezone": ""}, "timezone"), ({"catch_up": ""}, "catch_up")]:
        assert await refusal(api.patch(made.config_id, **fields)) == ("INVALID_ARGUMENT", name)
    assert await api.get(made.config_id) == made


async def test_only_a_new_time_table_gives_a_new_slot(api: Api) -> None:
    """And waking up: what was missed while it slept stays missed. A slot that waits for the trigger is not lost to any other change."""
    made = await api.create()
    api.clock.time = NOON + timedelta(days=3)

    kept = await api.patch(made.config_id, priority=7, is_active=True)
    assert kept.next_run_time == made.next_run_time
    asleep = await api.patch(made.config_id, is_active=False)
    assert (asleep.next_run_time, len(asleep.next_fire_times)) == (made.next_run_time, 0)
    awake = await api.patch(made.config_id, is_active=True)
    assert awake.next_run_time.ToDatetime(UTC) == datetime(2026, 4, 1, 0, 30, tzinfo=UTC)
    moved = await api.patch(made.config_id, timezone="Asia/Kolkata")
    assert moved.next_run_time.ToDatetime(UTC) == datetime(2026, 3, 31, 21, tzinfo=UTC)
    moved = await api.patch(made.config_id, schedule_cron=" 0  6 * * *")
    assert (moved.schedule_cron, moved.next_run_time.ToDatetime(UTC)) == ("0 6 * * *", datetime(2026, 4, 1, 0, 30, tzinfo=UTC))
    assert moved == await api.get(made.config_id)


async def test_a_change_loses_nothing_that_others_wrote_meanwhile(api: Api) -> None:
    """A trigger moved the slot after the schedule was read: it stays moved. Another PATCH changed the time table: ours is refused."""
    store, made = ScheduleStore(api.bq), await api.create()
    seen = await store.find(api.tenants.tenant_id, made.config_id)
    assert seen is not None
    await api.rows("UPDATE tenant_pipeline_configs SET next_run_time = TIMESTAMP '2026-04-07 00:30:00+00' WHERE tenant_id = @tenant")
    assert await store.update(seen, Change(priority=9), next_run_time=None, now=NOON)
    assert (await api.get(made.config_id)).next_run_time.ToDatetime(UTC) == datetime(2026, 4, 7, 0, 30, tzinfo=UTC)

    await api.patch(made.config_id, timezone="Asia/Kolkata")
    assert not await store.update(seen, Change(schedule_cron="0 1 * * *"), next_run_time=NOON, now=NOON)
    assert (await api.get(made.config_id)).schedule_cron == "30 2 * * *"


async def test_a_row_of_the_subscription_system_is_read_and_mended(api: Api) -> None:
    """Documented columns only; its id is no UUID and its cron expression cannot be."""
    await api.rows(
        "INSERT INTO tenant_pipeline_configs (config_id, tenant_id, provider, domain, pipeline_template, schedule_cron)"
        " VALUES ('cfg-1', @tenant, 'GCP', 'cost', 'billing', 'whenever')"
    )
    (read,) = await api.all()
    assert (read.provider, read.is_active, read.priority, read.max_retries, read.timezone) == ("gcp", True, 50, 3, "UTC")
    assert (read.catch_up, len(read.parameters.fields), len(read.next_fire_times), read.HasField("created_at")) == ("days", 0, 0, False)
    assert not (await api.patch("cfg-1", is_active=False)).is_active
    assert await refusal(api.patch("cfg-1", is_active=True)) == ("INVALID_ARGUMENT", "schedule_cron")
    assert (await api.patch("cfg-1", is_active=True, schedule_cron="0 * * * *")).next_run_time.ToDatetime(UTC) == NOON + timedelta(hours=1)


async def test_of_two_rows_of_one_id_the_one_changed_last_is_read(api: Api) -> None:
    made = await api.create(schedule_cron="0 4 * * *")
    for cron, updated_at in (("0 5 * * *", "2026-04-01"), ("0 6 * * *", "2020-01-01")):
        await api.rows(
            "INSERT INTO tenant_pipeline_configs (config_id, tenant_id, provider, domain, pipeline_template, schedule_cron, updated_at)"
            f" VALUES (@config, @tenant, 'gcp', 'cost', 'billing', '{cron}', TIMESTAMP '{updated_at}')",
            config=made.config_id,
        )
    (listed,) = await api.all()
    assert (await api.get(made.config_id)).schedule_cron == listed.schedule_cron == "0 5 * * *"


async def test_a_backfill_queues_each_day_once_ever(api: Api) -> None:
    made = await api.create(parameters={"note": "x"}, max_retries=2)
    before = jobs()
    assert await api.backfill(made.config_id, "2026-03-25", "2026-03-27") == (3, 0)
    assert jobs() - before == 2
    done = backfill_run_id(made.config_id, NOON.date() - timedelta(days=2))
    await api.rows("DELETE FROM pipeline_execution_queue WHERE tenant_id = @tenant AND run_id = @run", run=done)
    assert await api.backfill(made.config_id, "2026-03-26", "2026-03-28") == (1, 2)
    assert await api.backfill(made.config_id, "2026-03-28", "2026-03-28") == (0, 1)

    queued = await api.rows(
        "SELECT run_id, state, priority, scheduled_time, pipeline_id FROM pipeline_execution_queue WHERE tenant_id = @tenant"
        " ORDER BY scheduled_time"
    )
    runs = await api.rows(
        "SELECT run_id, state, priority, parameters, retry_count, max_retries FROM scheduled_pipeline_runs WHERE tenant_id = @tenant"
        " ORDER BY scheduled_time"
    )
    days = [NOON.date() - timedelta(days=back) for back in (3, 2, 1, 0)]
    ids = [backfill_run_id(made.config_id, day, is_over=day < NOON.date()) for day in days]
    assert [row["run_id"] for row in runs] == ids
    assert [row["run_id"] for row in queued] == [ids[0], ids[2], ids[3]]
    assert [row["parameters"] for row in runs] == [{"note": "x", "date": day.isoformat()} for day in days]
    assert {(row["state"], row["priority"], row["retry_count"], row["max_retries"]) for row in runs} == {("PENDING", -100, 0, 2)}
    assert {(row["state"], row["priority"], row["pipeline_id"]) for row in queued} == {("QUEUED", -100, "gcp-cost-billing")}
    assert queued[0]["scheduled_time"] == datetime(2026, 3, 25, tzinfo=UTC)

    # The last day was not over: what was loaded of it is not the day, which a backfill after its end queues again.
    api.clock.time += timedelta(days=1)
    assert await api.backfill(made.config_id, "2026-03-27", "2026-03-28") == (1, 1)


async def test_two_backfills_at_once_queue_each_day_once(api: Api) -> None:
    made = await api.create()
    answers = await asyncio.gather(*(api.backfill(made.config_id, "2026-03-20", "2026-03-27") for _ in range(3)))
    for table in ("pipeline_execution_queue", "scheduled_pipeline_runs"):
        assert len(await api.rows(f"SELECT run_id FROM {table} WHERE tenant_id = @tenant")) == 8
    assert sorted(answers) == [(0, 8), (0, 8), (8, 0)]


async def test_a_backfill_that_cannot_be_names_its_field(api: Api) -> None:
    made, dateless = await api.create(), await api.create(pipeline_template="dateless")
    for start, end, name in (
        ("2026-03-27", "2026-03-26", "end_date"),
        ("2026-03-27", "2026-03-29", "end_date"),
        ("2025-03-01", "2026-03-27", "end_date"),
        ("20260327", "2026-03-27", "start_date"),
        ("2026-02-30", "2026-03-27", "start_date"),
        ("2026-03-27", "", "end_date"),
    ):
        assert await refusal(api.backfill(made.config_id, start, end)) == ("INVALID_ARGUMENT", name)
    assert await refusal(api.backfill(dateless.config_id, "2026-03-26", "2026-03-27")) == ("INVALID_ARGUMENT", "config_id")
    monthly = await api.create(pipeline_template="monthly")
    with pytest.raises(grpc.aio.AioRpcError, match="runs for billing periods, not for days") as refused:
        await api.backfill(monthly.config_id, "2026-03-26", "2026-03-27")
    assert "parameters.date" not in str(refused.value.details())
    assert (await refusal(api.backfill(str(uuid4()), "2026-03-26", "2026-03-27")))[0] == "NOT_FOUND"
    assert await api.rows("SELECT run_id FROM scheduled_pipeline_runs WHERE tenant_id = @tenant") == []
