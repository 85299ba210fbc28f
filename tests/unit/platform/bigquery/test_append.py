"""Rows of the tenants' logs: streamed to old tables, inserted into young, altered and refusing ones. Against a scripted BigQuery."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from services.platform.bigquery.append import AGE_KNOWN_SECONDS, AppendOnlyTable
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.errors import NotFound
from services.platform.bigquery.sql import make_block
from services.platform.settings import ServiceSettings
from tests.support.fake_bigquery import FakeBigQuery, fake_bigquery

NOW = datetime(2025, 11, 18, 12, tzinfo=UTC)
LOG = "/datasets/d/tables/log"
SQL = "INSERT INTO log (log_id, note) SELECT n.log_id, n.note FROM UNNEST(@rows) AS n"
INSERT = make_block("insert_log", SQL, {"rows": "ARRAY<STRUCT<log_id STRING, note STRING>>"})
ADD = make_block("add_note", "ALTER TABLE log ADD COLUMN IF NOT EXISTS note STRING", {})


class Noon:
    def now(self) -> datetime:
        return NOW


def made(fake: FakeBigQuery, age: timedelta) -> None:
    reference = {"projectId": "p", "datasetId": "d", "tableId": "log"}
    fake.tables[LOG] = {"tableReference": reference, "creationTime": str(round((NOW - age).timestamp() * 1000))}


def rows(*names: str) -> list[dict[str, str | None]]:
    return [{"log_id": name, "note": None} for name in names]


@pytest.fixture
def fake() -> Iterator[FakeBigQuery]:
    with fake_bigquery(FakeBigQuery()) as server:
        yield server


@pytest.fixture
def log(fake: FakeBigQuery) -> AppendOnlyTable:
    client = BigQuery(ServiceSettings(project="p", control_dataset="d", bigquery_emulator_host=fake.url), service="tests")
    return AppendOnlyTable(
        client, "log", key="log_id", insert=INSERT, add_columns=lambda dataset: client.query(ADD, {}, dataset=dataset), clock=Noon()
    )


def inserted(fake: FakeBigQuery) -> list[list[str]]:
    """The ids of each INSERT, in order."""
    statements = [json.loads(body) for kind, body in fake.requests if kind == "query" and "INSERT" in body]
    values = [one["queryParameters"][0]["parameterValue"].get("arrayValues", []) for one in statements]
    return [[row["structValues"]["log_id"]["value"] for row in some] for some in values]


async def test_rows_are_streamed_to_an_old_table_whose_age_is_looked_at_once(fake: FakeBigQuery, log: AppendOnlyTable) -> None:
    made(fake, timedelta(minutes=10))
    for name in ("a", "b"):
        await log.append("p.d", rows(name))
    assert fake.count() == {"table": 1, "stream": 2}
    assert AGE_KNOWN_SECONDS <= 60, "a table that was dropped and made again is young, and seen to be"


async def test_rows_of_a_young_table_are_inserted_and_share_statements(fake: FakeBigQuery, log: AppendOnlyTable) -> None:
    made(fake, timedelta(minutes=9))
    await asyncio.gather(*(log.append("p.d", rows(str(n))) for n in range(20)))
    assert sorted(itertools.chain.from_iterable(inserted(fake)), key=int) == [str(n) for n in range(20)]
    assert (fake.count()["stream"], len(inserted(fake)) <= 3) == (0, True)


async def test_a_table_just_made_is_young_whatever_was_known_of_it(fake: FakeBigQuery, log: AppendOnlyTable) -> None:
    made(fake, timedelta(days=1))
    await log.append("p.d", rows("old"))
    await log.append("p.d", rows("new"), is_new=True)
    await log.append("p.d", rows("next"))
    assert (fake.count()["stream"], inserted(fake)) == (1, [["new"], ["next"]])


async def test_what_a_stream_refuses_is_inserted_and_what_follows_too(fake: FakeBigQuery, log: AppendOnlyTable) -> None:
    """The table may lack a column, which is added first; for some minutes after that streams do not know it."""
    made(fake, timedelta(days=1))
    fake.refuse_rows = True
    await log.append("p.d", rows("refused"))
    fake.refuse_rows = False
    await log.append("p.d", rows("later"))
    statements = [json.loads(body)["query"].split()[0] for kind, body in fake.requests if kind == "query"]
    assert (fake.count()["stream"], statements, inserted(fake)) == (1, ["ALTER", "INSERT", "INSERT"], [["refused"], ["later"]])


async def test_a_stream_that_does_not_find_the_table_yet_is_followed_by_an_insert(fake: FakeBigQuery, log: AppendOnlyTable) -> None:
    made(fake, timedelta(days=1))
    fake.faults["stream"].append("notFound")
    await log.append("p.d", rows("a"))
    assert inserted(fake) == [["a"]]


async def test_a_bad_row_takes_no_other_with_it(fake: FakeBigQuery, log: AppendOnlyTable) -> None:
    made(fake, timedelta(0))
    fake.endings += ["invalidQuery", "ok", "invalidQuery", "ok"]
    answers = await asyncio.gather(*(log.append("p.d", rows(name)) for name in ("a", "b", "c")), return_exceptions=True)
    assert [type(answer).__name__ for answer in answers] == ["NoneType", "BadRequest", "NoneType"]
    assert inserted(fake) == [["a", "b", "c"], ["a"], ["b"], ["c"]]


async def test_without_the_table_the_caller_hears_so(fake: FakeBigQuery, log: AppendOnlyTable) -> None:
    fake.endings += ["notFound"]
    with pytest.raises(NotFound):
        await log.append("p.d", rows("a"))
