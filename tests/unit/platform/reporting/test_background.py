"""Rows that a process reports in the background: nothing waits for them, none is lost while there is room. Against a scripted BigQuery."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from services.platform.bigquery.client import BigQuery
from services.platform.reporting import background
from services.platform.reporting.background import BackgroundRows
from services.platform.reporting.budgets import EVERY, BudgetWatch
from services.platform.reporting.events import SQL, EventKind, event_id
from services.platform.settings import ServiceSettings
from tests.support.fake_bigquery import FakeBigQuery, fake_bigquery
from tests.unit.platform.test_waiting import Time

NOW = datetime(2025, 11, 18, 12, 30, 45, tzinfo=UTC)
NEVER = 1e6


@pytest.fixture
def fake() -> Iterator[FakeBigQuery]:
    with fake_bigquery(FakeBigQuery()) as server:
        reference = {"projectId": "p", "datasetId": "tenants", "tableId": "platform_events"}
        server.tables["/datasets/tenants/tables/platform_events"] = {"tableReference": reference, "creationTime": "0"}
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def rows(fake: FakeBigQuery, time: Time) -> BackgroundRows:
    client = BigQuery(ServiceSettings(project="p", bigquery_emulator_host=fake.url), service="tests")
    return BackgroundRows(
        client, "platform_events", key="event_id", insert=SQL["insert_platform_events"], every_seconds=1.0, monotonic=time
    )


def row(identity: str, value: float = 1.0) -> dict[str, object]:
    return {"event_id": identity, "value": value}


def streamed(fake: FakeBigQuery) -> list[list[tuple[str, float]]]:
    """Id and value of the rows of each request."""
    sent = [json.loads(body)["rows"] for kind, body in fake.requests if kind == "stream"]
    assert all(one["insertId"] == one["json"]["event_id"] for some in sent for one in some)
    return [[(one["insertId"], one["json"]["value"]) for one in some] for some in sent]


async def test_rows_are_sent_together_and_the_last_of_an_id(fake: FakeBigQuery, rows: BackgroundRows) -> None:
    for value, identity in enumerate(["a", "b", "a"]):
        rows.add(row(identity, value))
    await rows.send_if_due()
    await rows.send_if_due()
    assert (streamed(fake), len(rows)) == ([[("b", 1), ("a", 2)]], 0)


async def test_while_bigquery_refuses_rows_wait_and_it_is_asked_less_and_less_often(
    fake: FakeBigQuery, rows: BackgroundRows, time: Time
) -> None:
    """Forbidden, as without the right on the table: no retry of the client's helps."""
    fake.faults["stream"].extend(["accessDenied"] * 7)
    rows.add(row("a"))
    tried = list[float]()
    for second in range(200):
        time.now = float(second)
        before = fake.count()["stream"]
        await rows.send_if_due()
        tried += [time.now] if fake.count()["stream"] > before else []
    waits = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert waits == [2, 4, 8, 16, 32, 60, 60]
    assert (len(rows), streamed(fake)[-1]) == (0, [("a", 1)])


async def test_there_is_room_for_so_many_and_the_oldest_go(
    fake: FakeBigQuery, rows: BackgroundRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "MAX_WAITING", 3)
    monkeypatch.setattr(background, "MAX_BATCH", 2)
    for identity in "abcde":
        rows.add(row(identity))
    await rows.send()
    assert streamed(fake) == [[("c", 1), ("d", 1)], [("e", 1)]]


async def test_a_row_that_comes_while_its_like_is_sent_is_sent_too(
    fake: FakeBigQuery, rows: BackgroundRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = rows._rows.append

    async def meanwhile(dataset: str, batch: list[dict[str, object]]) -> None:
        if batch[0]["value"] == 1:
            rows.add(row("a", 2))
        await append(dataset, batch)

    monkeypatch.setattr(rows._rows, "append", meanwhile)
    rows.add(row("a", 1))
    await rows.send()
    assert streamed(fake) == [[("a", 1)], [("a", 2)]]


async def test_what_is_left_is_sent_when_the_process_stops(fake: FakeBigQuery, rows: BackgroundRows) -> None:
    async with rows:
        rows.add(row("a"))
    assert streamed(fake) == [[("a", 1)]]


async def test_a_process_that_stops_does_not_wait_for_long(
    fake: FakeBigQuery, rows: BackgroundRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long BigQuery takes; the rows are given up."""
    is_sent, never = asyncio.Event(), asyncio.Event()

    async def hang(*_: object) -> None:
        is_sent.set()
        await never.wait()

    monkeypatch.setattr(background, "LAST_SECONDS", 0.05)
    monkeypatch.setattr(rows._rows, "append", hang)
    async with rows:
        rows.add(row("a"))
    assert is_sent.is_set()
    assert streamed(fake) == []


def test_a_busy_table_is_reported_at_most_once_in_five_minutes_with_its_busiest_moment() -> None:
    watch = BudgetWatch()
    assert watch.due({"queue": 0.6}, NOW) == [("queue", 0.6)]
    assert watch.due({"queue": 0.9, "keys": 0.7}, NOW + timedelta(minutes=1)) == [("keys", 0.7)]
    assert watch.due({"queue": 0.8}, NOW + timedelta(minutes=2)) == []
    assert watch.due({}, NOW + EVERY) == [("queue", 0.9)]
    assert watch.due({}, NOW + 3 * EVERY) == []


def test_what_happens_once_is_one_event_and_a_job_one_a_minute() -> None:
    assert event_id(EventKind.SLOT_LOST, "r", "executor", NOW) == event_id(EventKind.SLOT_LOST, "r", "scheduler", NOW + timedelta(hours=1))
    job = event_id(EventKind.JOB_SUCCEEDED, "trigger", "scheduler", NOW)
    assert job == "JOB_SUCCEEDED/scheduler/trigger/2025-11-18T12:30Z"
    assert job == event_id(EventKind.JOB_SUCCEEDED, "trigger", "scheduler", NOW + timedelta(seconds=14))
    assert job != event_id(EventKind.JOB_SUCCEEDED, "trigger", "scheduler", NOW + timedelta(seconds=15))
