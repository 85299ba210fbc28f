"""notFound means that a tenant has no runs only if its dataset really does not exist. Against a scripted BigQuery."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.executor.runs.quota import Reservation
from services.executor.runs.reconcile import Reconciler
from services.executor.store import Store
from services.platform.bigquery.client import BigQuery
from services.platform.clock import SystemClock
from services.platform.errors import Unavailable
from services.platform.settings import ServiceSettings
from tests.support.executor.fakes import RecordingLedger
from tests.support.fake_bigquery import FakeBigQuery, fake_bigquery


@pytest.fixture
def fake() -> Iterator[FakeBigQuery]:
    """No statement finds its table."""
    with fake_bigquery(FakeBigQuery()) as server:
        server.endings += ["notFound"] * 100
        yield server


@pytest.fixture
def store(fake: FakeBigQuery) -> Store:
    settings = ServiceSettings(project="p", bigquery_emulator_host=fake.url)
    return Store(BigQuery(settings, service="executor"), ddl=settings.configs_dir / "bigquery" / "tenant")


async def test_a_tenant_without_a_dataset_has_no_runs(fake: FakeBigQuery, store: Store) -> None:
    """No statement is sent for it."""
    for _ in range(3):
        assert await store.run_states("acme", ["7"]) == {}
    assert set(fake.count()) == {"dataset"}


async def test_a_dataset_that_is_elsewhere_is_not_taken_for_an_empty_one(fake: FakeBigQuery, store: Store) -> None:
    fake.tables["/datasets/acme"] = {"datasetReference": {"projectId": "p", "datasetId": "acme"}, "location": "EU"}

    with capture_logs() as logs, pytest.raises(Unavailable):
        await store.run_states("acme", ["7"])

    [line] = [log for log in logs if log["event"] == "run_tables_not_found"]
    assert (line["dataset"], line["dataset_location"]) == ("p.acme", "EU")


async def test_where_we_may_not_look_there_may_be_runs(fake: FakeBigQuery, store: Store) -> None:
    fake.endings.clear()
    fake.endings.append("accessDenied")
    fake.faults["dataset"] += ["accessDenied"] * 2
    with pytest.raises(Unavailable):
        await store.run_states("acme", ["7"])


async def test_the_reconciler_leaves_runs_alone_that_it_cannot_see(fake: FakeBigQuery, store: Store) -> None:
    fake.tables["/datasets/acme"] = {"datasetReference": {"projectId": "p", "datasetId": "acme"}, "location": "EU"}
    quota: Any = RecordingLedger()
    run = "1f0e7a52-3c1e-4b8e-9d53-5f4b7a0c1d2e"
    quota.orphans.append(Reservation(tenant_id="acme", pipeline_logging_id=run, usage_date=date(2026, 3, 10), trigger_type="api"))

    assert await Reconciler(store, quota, SystemClock()).reconcile_expired() == []
    assert quota.settled == []
