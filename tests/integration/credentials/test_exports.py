"""The dataset of an offboarded tenant, exported: the emulator writes the files that BigQuery would write into the bucket."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from convergence.credentials.v1 import destruction_service_pb2 as messages
from google.api_core import exceptions as google
from google.cloud import bigquery

from localcloud.settings import LocalSettings
from services.credentials.exports import process as exports
from services.credentials.exports.plan import job_id, uri_of
from services.credentials.exports.process import DatasetExports
from services.credentials.servicers.destruction import DestructionServicer
from services.platform.bigquery.client import BigQuery
from services.platform.errors import FailedPrecondition, Unavailable
from tests.integration.credentials.conftest import Suite, Tables
from tests.integration.credentials.test_set_credentials import set_credentials
from tests.support.credentials.samples import SLACK

META = ["x_meta_dq_results", "x_meta_pipeline_runs", "x_meta_step_logs"]


@pytest.fixture
def bucket(emulators: LocalSettings) -> Path:
    """Where the emulator writes what goes to gs://handover."""
    return emulators.state_dir / "bigquery" / "gcs" / "handover"


@pytest.fixture
async def tenant(credentials: Suite, tenant_id: str) -> str:
    """With a dataset, and a row in its step logs."""
    await set_credentials(credentials, tenant_id, SLACK, provider="SLACK")
    return tenant_id


async def export(suite: Suite, tenant_id: str, uri: str) -> list[tuple[str, int, str]]:
    servicer = DestructionServicer(suite.changes, suite.exports)
    answer = await servicer.ExportTenantData(messages.ExportTenantDataRequest(tenant_id=tenant_id, export_uri=uri), None)
    return [(one.table_name, one.row_count, one.uri) for one in answer.tables]


def rows_at(bucket: Path, uri: str) -> list[dict[str, Any]]:
    files = sorted(bucket.parent.glob(uri.removeprefix("gs://")))
    assert files, uri
    return [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]


async def jobs(bq: BigQuery, tenant_id: str) -> list[str]:
    """The ids of the tenant's extract jobs."""
    listed = await bq.call("test_jobs", lambda left: list(bq.client.list_jobs(timeout=left, max_results=1000)))
    return [one.job_id for one in listed if isinstance(one, bigquery.ExtractJob) and one.source.dataset_id == tenant_id]


async def test_all_tables_are_exported_and_once_however_often_it_is_called(
    credentials: Suite, bq: BigQuery, tables: Tables, tenant: str, bucket: Path
) -> None:
    """Views and what runs have left are not; a table that has changed since is exported anew, beside its older files."""
    prefix = f"gs://handover/{tenant}"
    for ddl in ("CREATE TABLE {0}.x_staging_left (a INT64)", "CREATE VIEW {0}.v AS SELECT 1 AS one"):
        sql = ddl.format(bq.tenant(tenant))
        await bq.call("test_ddl", lambda left, sql=sql: bq.client.query_and_wait(sql, api_timeout=left))  # type: ignore[misc]

    done = await export(credentials, tenant, prefix)

    assert [(name, rows) for name, rows, _ in done] == [(META[0], 0), (META[1], 0), (META[2], 1)]
    assert all(uri.startswith(f"{prefix}/{name}/") for name, _, uri in done)
    [row] = rows_at(bucket, done[2][2])
    [stored] = await tables.audit(tenant)
    assert (row["log_id"], row["action"]) == (stored["log_id"], "CREDENTIAL_ADDED")
    begun = await jobs(bq, tenant)
    assert (await export(credentials, tenant, prefix), sorted(await jobs(bq, tenant))) == (done, sorted(begun))

    await set_credentials(credentials, tenant, SLACK, provider="SLACK")
    again = await export(credentials, tenant, prefix)
    assert (again[:2], again[2][1], len(rows_at(bucket, again[2][2]))) == (done[:2], 2, 2)
    assert len(rows_at(bucket, done[2][2])) == 1


async def test_without_a_dataset_there_is_nothing(credentials: Suite, bq: BigQuery, tenant_id: str) -> None:
    assert await export(credentials, tenant_id, "gs://handover/x") == []
    foreign = bigquery.Dataset(bq.tenant(tenant_id))
    await bq.call("test_create", lambda left: bq.client.create_dataset(foreign, timeout=left))
    with pytest.raises(FailedPrecondition) as refused:
        await export(credentials, tenant_id, "gs://handover/x")
    assert refused.value.reason == "DATASET_NOT_OURS"


async def test_a_job_that_failed_is_followed_by_another_one_in_the_next_call(
    credentials: Suite, bq: BigQuery, tenant: str, bucket: Path
) -> None:
    """A file is where the bucket's folder would be: then the call says what BigQuery says."""
    refusing = bucket / "refusing"
    refusing.parent.mkdir(parents=True, exist_ok=True)
    refusing.write_text("")
    with pytest.raises((FailedPrecondition, Unavailable)):
        await export(credentials, tenant, "gs://handover/refusing")
    refusing.unlink()
    done = await export(credentials, tenant, "gs://handover/refusing")
    assert [name for name, _, _ in done] == META
    numbers = sorted(int(one.rsplit("_", 1)[1]) for one in await jobs(bq, tenant))
    assert numbers == [1, 1, 1, 2, 2, 2]


async def test_rows_that_bigquery_would_leave_out_are_waited_for(
    credentials: Suite, bq: BigQuery, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streamed a short time ago: nothing is exported, and the answer says when to ask again."""
    as_they_are = DatasetExports._table

    async def settling(self: DatasetExports, dataset: str, name: str) -> Any:
        return replace(await as_they_are(self, dataset, name), is_settling=name == META[2])

    monkeypatch.setattr(DatasetExports, "_table", settling)
    with pytest.raises(Unavailable, match=META[2]) as refused:
        await export(credentials, tenant, "gs://handover/x")
    assert (refused.value.retry_after, await jobs(bq, tenant)) == (exports.SETTLING_AGAIN, [])


async def test_jobs_that_take_longer_than_a_call_are_found_by_the_next(
    credentials: Suite, process: Callable[..., Suite], bq: BigQuery, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a job that another call has begun at the same moment is not begun twice."""
    uri = f"gs://handover/{tenant}_slow"
    running = DatasetExports(bq, credentials.datasets, wait_seconds=0.0)
    with monkeypatch.context() as patched:
        patched.setattr(exports, "DONE", "never")
        with pytest.raises(Unavailable, match="0 of 3 tables") as refused:
            await running.export(tenant, uri)
    assert refused.value.retry_after == exports.AGAIN
    begun = await jobs(bq, tenant)

    [table] = [one for one in await running._tables(bq.tenant(tenant)) if one.name == META[2]]
    first = job_id(bq.tenant(tenant), uri_of(uri, table), 1)
    assert first in begun
    insert = partial(bq.client.extract_table, f"{bq.tenant(tenant)}.{META[2]}", uri_of(uri, table), job_id=first)
    with pytest.raises(google.Conflict):
        await bq.call("test_twice", lambda left: insert(timeout=left))
    location = await bq.locations.of(bq.tenant(tenant))
    assert (await running._begin(first, f"{bq.tenant(tenant)}.{META[2]}", uri_of(uri, table), location)).job_id == first
    assert len(await DatasetExports(bq, process().datasets).export(tenant, uri)) == len(META)
    assert sorted(await jobs(bq, tenant)) == sorted(begun)
