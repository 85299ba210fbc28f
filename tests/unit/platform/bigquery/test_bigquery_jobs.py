"""How our client handles jobs that take long, fail or cannot be read, and failing responses. Against a scripted BigQuery."""

import asyncio
import io
import json
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions as google

from services.executor.staging import tables as loading
from services.executor.staging.shape import StagingShape, StagingTable
from services.executor.staging.tables import StagingTables
from services.platform.bigquery import jobs as bigquery_jobs
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.errors import BadRequest
from services.platform.bigquery.sql import make_block
from services.platform.errors import Unavailable
from services.platform.settings import ServiceSettings
from tests.support.fake_bigquery import LOST, FakeBigQuery, fake_bigquery

SELECT = make_block("look", "SELECT TRUE AS done", {})
CHANGE = make_block("change", "UPDATE t SET a = 1 WHERE TRUE; SELECT TRUE AS done;", {})
PLENTY = 20.0


@pytest.fixture
def fake() -> Iterator[FakeBigQuery]:
    with fake_bigquery(FakeBigQuery()) as server:
        yield server


@pytest.fixture
def client(fake: FakeBigQuery) -> BigQuery:
    client = BigQuery(ServiceSettings(project="p", control_dataset="d", bigquery_emulator_host=fake.url), service="tests")
    client.locations.put("p.t", "US")
    return client


async def test_a_statement_takes_no_longer_than_it_may_and_its_job_is_cancelled(fake: FakeBigQuery, client: BigQuery) -> None:
    """The client's own way takes twice as long, and ten seconds more where the server waits."""
    fake.endings += ["never"]
    began = time.monotonic()

    with pytest.raises(Unavailable):
        await client.query(SELECT, {}, dataset="p.d", seconds=0.6)

    assert time.monotonic() - began < 1.2
    assert (fake.count()["query"], fake.count()["cancel"]) == (1, 1)
    assert fake.jobs["server_0"].cancelled.is_set()
    assert 0 < int(json.loads(fake.requests[0][1])["jobTimeoutMs"]) <= 600, "what we lose sight of, BigQuery stops itself"


async def test_a_silent_server_holds_no_caller_beyond_the_deadline(fake: FakeBigQuery, client: BigQuery) -> None:
    """Here the first answer comes at once, and the poll after it hangs: the client gives each poll two minutes at least."""
    began = time.monotonic()
    fake.endings += ["never"]

    with pytest.raises(Unavailable):
        await client.query_job(SELECT, {}, dataset="p.d", seconds=0.4)

    assert time.monotonic() - began < 1.0
    assert fake.count() == {"insert": 1, "results": 1, "cancel": 1}


async def test_a_job_is_followed_by_two_calls(fake: FakeBigQuery, client: BigQuery) -> None:
    """One waits for its end and has its rows, one has its cost. A load has no rows, and nothing that waits for it."""
    assert (await client.query_job(SELECT, {}, dataset="p.d", seconds=PLENTY)).rows == [{"done": True}]
    assert fake.count() == {"insert": 1, "results": 1, "get": 1}
    fake.requests.clear()
    await Made(client, Noon()).fill("t", TABLE, io.BytesIO(b"parquet"), 7, within=timedelta(seconds=PLENTY))
    assert fake.count() == {"upload": 1, "get": 1}


@pytest.mark.parametrize("reason", ["jobBackendError", "jobInternalError"])
async def test_a_broken_job_is_done_again(fake: FakeBigQuery, client: BigQuery, reason: str) -> None:
    """Both come as 400, like bad SQL."""
    fake.endings += [reason]

    result = await client.query(SELECT, {}, dataset="p.d", seconds=PLENTY)

    assert result.rows == [{"done": True}]
    assert fake.count()["query"] == 2


async def test_bad_sql_is_not_done_again(fake: FakeBigQuery, client: BigQuery) -> None:
    fake.endings += ["invalidQuery", "invalidQuery"]
    with pytest.raises(BadRequest):
        await client.query(SELECT, {}, dataset="p.d", seconds=PLENTY)
    with pytest.raises(BadRequest):
        await client.query_job(SELECT, {}, dataset="p.d", seconds=PLENTY)
    assert (fake.count()["query"], fake.count()["insert"]) == (1, 1)


@pytest.mark.parametrize(
    ("endings", "faults", "inserts", "jobs"),
    [
        pytest.param([], {"results": [503]}, 1, 1, id="a poll fails"),
        pytest.param([], {"get": [503, 503], "results": [LOST]}, 1, 1, id="polls fail in a row"),
        pytest.param([], {"insert": [LOST]}, 1, 1, id="the answer to its beginning is lost"),
        pytest.param([], {"insert": [503]}, 2, 1, id="it was not taken"),
        pytest.param([], {"insert": [LOST, ""], "get": ["notFound", "notFound"]}, 2, 1, id="taken, and not to be seen for a moment"),
        pytest.param(["jobBackendError", "backendError"], {}, 3, 3, id="two die of what another is spared"),
        pytest.param(["jobBackendError"], {"get": [503]}, 2, 2, id="it dies, and a poll fails"),
    ],
)
async def test_a_polled_job_is_begun_anew_only_when_it_is_dead(
    fake: FakeBigQuery, client: BigQuery, endings: list[str], faults: dict[str, list[Any]], inserts: int, jobs: int
) -> None:
    fake.endings += endings
    fake.faults.update({kind: deque(some) for kind, some in faults.items()})

    result = await client.query_job(CHANGE, {}, dataset="p.d", seconds=PLENTY)

    assert result.rows == [{"done": True}]
    assert (fake.count()["insert"], len(fake.jobs)) == (inserts, jobs)
    assert fake.count()["cancel"] == 0


async def test_a_job_that_bigquery_has_forgotten_is_sent_again(
    fake: FakeBigQuery, client: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a local BigQuery that is killed. It is looked for until so much time has passed, and no longer."""
    monkeypatch.setattr(bigquery_jobs, "LOST_SECONDS", 0.3)
    fake.endings += ["never"]
    task = asyncio.create_task(client.query_job(CHANGE, {}, dataset="p.d", seconds=PLENTY))
    while not fake.count()["results"]:
        await asyncio.sleep(0.01)

    fake.faults["get"].append(503)
    [forgotten] = fake.jobs.values()
    fake.jobs.clear()
    forgotten.cancelled.set()  # its poll ends

    assert (await task).rows == [{"done": True}]
    assert (fake.count()["insert"], len(fake.jobs)) == (2, 1)
    assert fake.count()["get"] > 2


async def test_a_job_that_is_waited_for_no_more_is_cancelled(fake: FakeBigQuery, client: BigQuery) -> None:
    fake.endings += ["never"]
    task = asyncio.create_task(client.query_job(CHANGE, {}, dataset="p.d", seconds=PLENTY))
    while not fake.count()["results"]:
        await asyncio.sleep(0.01)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    [job] = fake.jobs.values()
    assert job.cancelled.is_set()


@pytest.mark.parametrize("way", ["query", "query_job"])
async def test_a_script_that_breaks_and_calls_it_a_success_is_sent_again(fake: FakeBigQuery, client: BigQuery, way: str) -> None:
    fake.endings += ["empty"]

    await getattr(client, way)(CHANGE, {}, dataset="p.d", seconds=PLENTY)

    assert len(fake.jobs) == 2


class Made(StagingTables):
    """Its tables are there already: the server keeps none."""

    async def make(self, tenant_id: str, table: StagingTable) -> None:
        pass


class Noon:
    def now(self) -> datetime:
        return datetime(2025, 11, 18, 12, tzinfo=UTC)


TABLE = StagingTable(name="stage_1", shape=StagingShape(name="stage", columns={"a": "INT64"}))


@pytest.mark.parametrize(
    ("endings", "faults", "uploads", "jobs"),
    [
        pytest.param([], {"upload": [LOST]}, 1, 1, id="the answer to the upload is lost"),
        pytest.param([], {"get": [503, 503]}, 1, 1, id="polls fail"),
        pytest.param(["backendError", "jobInternalError"], {}, 3, 3, id="two die"),
    ],
)
async def test_a_file_is_sent_again_only_for_a_dead_job(
    fake: FakeBigQuery, client: BigQuery, endings: list[str], faults: dict[str, list[Any]], uploads: int, jobs: int
) -> None:
    fake.endings += endings
    fake.faults.update({kind: deque(some) for kind, some in faults.items()})
    staging = Made(client, Noon(), first_wait_seconds=0.01)

    await staging.fill("t", TABLE, io.BytesIO(b"parquet"), 7, within=timedelta(seconds=PLENTY))

    assert (fake.count()["upload"], len(fake.jobs)) == (uploads, jobs)


async def test_a_file_is_not_sent_for_ever(fake: FakeBigQuery, client: BigQuery) -> None:
    fake.endings += ["backendError"] * 100
    staging = Made(client, Noon(), first_wait_seconds=0.001)

    with pytest.raises(Unavailable):
        await staging.fill("t", TABLE, io.BytesIO(b"parquet"), 7, within=timedelta(seconds=PLENTY))

    assert fake.count()["upload"] == len(fake.jobs) == loading.MAX_LOADS


async def test_a_file_that_does_not_fit_is_sent_once(fake: FakeBigQuery, client: BigQuery) -> None:
    fake.endings += ["invalid"]
    with pytest.raises(google.BadRequest):
        await Made(client, Noon()).fill("t", TABLE, io.BytesIO(b"parquet"), 7, within=timedelta(seconds=PLENTY))
    assert fake.count()["upload"] == 1
