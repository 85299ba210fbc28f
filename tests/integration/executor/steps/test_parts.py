"""A large export is loaded in parts while the rest of it is read; the staging table has its rows once, or nothing is published."""

import re
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import pytest
from google.api_core import exceptions as google

from services.executor.records import RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.templates.step import Toolbox
from tests.support.executor.billing_export import load, many
from tests.support.executor.tenant import Tenant

DAY = date(2025, 11, 17)
ROWS = many(DAY, 100)

type Begin = Callable[..., Awaitable[PreparedRun]]


@pytest.fixture
def small_parts(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few rows are a file."""
    load(tenant.host, f"{tenant.project}.finance.gcp_billing_export_v1_01AB2C_3D4E5F_6A7B8C", ROWS)
    monkeypatch.setattr("services.executor.steps.extract.PART_BYTES", 1)
    monkeypatch.setattr("services.executor.sources.gcp.source.GROUP_ROWS", 25)


@pytest.mark.usefixtures("small_parts")
async def test_all_rows_arrive_in_several_loads(tenant: Tenant, tools: Toolbox, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if one of the loads fails and is done again, by another job."""
    loads, send = list[str](), tenant.bq.client.load_table_from_file

    def counted(*args: Any, **options: Any) -> Any:
        loads.append(options["job_config"].write_disposition)
        if len(loads) == 2:
            raise google.ServiceUnavailable("The service is busy.")  # type: ignore[no-untyped-call]
        return send(*args, **options)

    monkeypatch.setattr(tenant.bq.client, "load_table_from_file", counted)
    outcome = await execute(await begin(date=str(DAY)), tools)
    assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
    assert outcome.rows_processed == 100
    assert set(loads) == {"WRITE_APPEND"}
    assert len(loads) in {3, 4, 5}
    [row] = await tenant.rows("SELECT COUNT(*) AS n, ROUND(SUM(cost), 6) AS cost FROM billing_cost_daily")
    assert row == {"n": 100, "cost": round(sum(one["cost"] for one in ROWS), 6)}
    assert tools.spool.taken(tenant.tenant_id) == 0


@pytest.mark.usefixtures("small_parts")
async def test_a_part_that_was_loaded_twice_publishes_nothing(
    tenant: Tenant, tools: Toolbox, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice, send = list[Any](), tenant.bq.client.load_table_from_file

    def doubled(file: Any, *args: Any, **options: Any) -> Any:
        if not twice:
            twice.append(send(file, *args, **{**options, "job_id": f"{options['job_id']}_again"}).result())
        return send(file, *args, **options)

    monkeypatch.setattr(tenant.bq.client, "load_table_from_file", doubled)
    outcome = await execute(await begin(date=str(DAY)), tools)
    assert outcome.status is RunStatus.FAILED
    assert re.fullmatch(
        r"Step extract: 100 rows were read, and the staging table has 1\d\d\. Nothing is published of them\.", outcome.error_message or ""
    )
    assert await tenant.rows("SELECT table_name FROM INFORMATION_SCHEMA.TABLES WHERE table_name = 'billing_cost_daily'") == []
    assert tools.spool.taken(tenant.tenant_id) == 0
