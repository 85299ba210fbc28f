"""A tenant with published costs, and the CostService's servicer on them."""

import json
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from google.cloud import bigquery

from services.executor.service import cost_servicer
from services.executor.servicers.cost import CostServicer
from services.executor.settings import ExecutorSettings
from services.platform.access.caller import Caller, set_caller
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import make_block
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.support.executor.cost_rows import FIRST, cost_rows

DDL = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")
ROWS = cost_rows(Random(15), 1_500)
NOW = datetime(2025, 11, 28, 6, tzinfo=UTC)
HOLE = FIRST + timedelta(days=30)


class Ticking:
    """A clock that begins at NOW, and at which two moments are never the same."""

    def __init__(self) -> None:
        self._ticks = 0

    def now(self) -> datetime:
        self._ticks += 1
        return NOW + timedelta(milliseconds=self._ticks)


@pytest.fixture(scope="module")
async def costs_tenant(bq: BigQuery) -> AsyncIterator[str]:
    """A dataset of its own: focus_cost_daily with ROWS, and the ledger of its days but for HOLE."""
    tenant_id = f"t_{uuid.uuid4().hex[:12]}"
    dataset = bq.tenant(tenant_id)
    await bq.call("create_dataset", lambda timeout: bq.client.create_dataset(dataset, timeout=timeout))
    for name in ("focus_cost_daily", "x_meta_cost_days", "x_meta_cost_changes"):
        await bq.query(DDL[name].create, {}, dataset=dataset)
    table = f"{dataset}.focus_cost_daily"

    def load(_: float) -> None:
        config = bigquery.LoadJobConfig(schema=bq.client.get_table(table).schema)
        rows = [row | {"Tags": json.loads(row["Tags"]) if row["Tags"] else None} for row in ROWS]
        bq.client.load_table_from_json(rows, table, job_config=config).result()

    await bq.call("load", load)
    ledger = """
INSERT INTO x_meta_cost_days (source, usage_date, row_count, sums, version, focus_version, state, state_rule, last_loaded_at)
SELECT
  'gcp', day, 10, [STRUCT('USD' AS currency, NUMERIC '1.5' AS net_cost, NUMERIC '2' AS size)], 2, IF(EXTRACT(DAY FROM day) = 3, 1, 2),
  CASE WHEN day < '2025-10-01' THEN 'FINAL' WHEN day < '2025-11-24' THEN 'SETTLING' ELSE 'OPEN' END, 'by the calendar',
  TIMESTAMP_ADD(TIMESTAMP(day), INTERVAL 30 HOUR)
FROM UNNEST(GENERATE_DATE_ARRAY(@first_day, @last_day)) AS day
WHERE day != @hole"""
    params: dict[str, object] = {"first_day": FIRST, "last_day": NOW.date() - timedelta(days=1), "hole": HOLE}
    await bq.query(make_block("seed", ledger, dict.fromkeys(params, "DATE")), params, dataset=dataset)
    yield tenant_id
    await bq.call("drop", lambda _: bq.client.delete_dataset(dataset, delete_contents=True, not_found_ok=True))


type MakeServicer = Callable[..., CostServicer]


@pytest.fixture
def make_servicer(bq: BigQuery, service_settings: ServiceSettings) -> MakeServicer:
    """A servicer with a cache of its own, as a process has it."""

    def make(**settings: object) -> CostServicer:
        mine = ExecutorSettings(**{**service_settings.model_dump(), "costs_known_seconds": 0, **settings})
        return cost_servicer(mine, bq, Ticking())

    return make


@pytest.fixture
def servicer(make_servicer: MakeServicer) -> CostServicer:
    return make_servicer()


@pytest.fixture(autouse=True)
def caller() -> None:
    set_caller(Caller(tenant_id="acme_corp", user_id="alice"))
