"""Staging tables, created and dropped through BigQuery's blocking client."""

import asyncio
import io
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.executor.staging.shape import StagingShape, StagingTable
from services.executor.templates.step import Toolbox
from tests.support.executor.tenant import Tenant


async def test_what_is_dropped_is_not_made_again_by_a_call_that_was_cancelled(
    tenant: Tenant, tools: Toolbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BigQuery's client blocks: a cancelled call goes on in its thread."""
    table = StagingShape(name="x_staging_slow", columns={"a": "INT64"}).table(str(uuid.uuid4()), 1)
    began, create = threading.Event(), tools.bq.client.create_table

    def slowly(*args: Any, **options: Any) -> object:
        began.set()
        time.sleep(0.3)
        return create(*args, **options)

    monkeypatch.setattr(tools.bq.client, "create_table", slowly)
    making = asyncio.create_task(tools.staging.make(tenant.tenant_id, table))
    await asyncio.to_thread(began.wait)
    making.cancel()
    await asyncio.wait([making])

    await tools.staging.drop(tenant.tenant_id, table)

    await asyncio.sleep(0.4)
    assert await tenant.rows(f"SELECT table_name FROM INFORMATION_SCHEMA.TABLES WHERE table_name = '{table.name}'") == []


async def columns(tenant: Tenant, table: StagingTable) -> list[str]:
    found = await tenant.rows(f"SELECT column_name FROM INFORMATION_SCHEMA.COLUMNS WHERE table_name = '{table.name}'")
    return [row["column_name"] for row in found]


async def test_a_fresh_table_takes_one_call_and_is_dropped_when_no_caller_waits(
    tenant: Tenant, tools: Toolbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun and dropped at once, the drop comes after the creation. A table of an earlier try is replaced."""
    table, calls, client = (
        StagingShape(name="x_staging_a", columns={"a": "INT64"}).table(str(uuid.uuid4()), 1),
        list[str](),
        tools.bq.client,
    )

    def counted(name: str) -> Callable[..., object]:
        call = getattr(client, f"{name}_table")

        def send(*args: Any, **options: Any) -> object:
            calls.append(name)
            return call(*args, **options)

        return send

    for name in ("create", "delete"):
        monkeypatch.setattr(client, f"{name}_table", counted(name))

    tools.staging.begin(tenant.tenant_id, table)
    tools.staging.drop_later(tenant.tenant_id, [table])
    await tools.staging.dropped()
    assert (calls, await columns(tenant, table)) == (["create", "delete"], [])

    calls.clear()
    await tools.staging.make(tenant.tenant_id, table)
    await tenant.rows(f"INSERT INTO {table.name} (a) VALUES (1)")
    tools.staging.begin(tenant.tenant_id, table)
    file = io.BytesIO()
    pq.write_table(pa.table({"a": [2, 3]}), file)
    await tools.staging.fill(tenant.tenant_id, table, file, file.tell(), within=timedelta(seconds=60))
    assert calls == ["create", "create", "delete", "create"]
    assert [row["a"] for row in await tenant.rows(f"SELECT a FROM {table.name} ORDER BY a")] == [2, 3]
    tools.staging.drop_later(tenant.tenant_id, [table])
    tools.staging.begin(tenant.tenant_id, table)
    await tools.staging.fill(tenant.tenant_id, table, file, file.getbuffer().nbytes, within=timedelta(seconds=60))
    assert calls[4:] == ["delete", "create"], "a table that is being dropped is made anew afterwards"


async def test_a_table_that_was_begun_for_a_later_step_is_used_once_or_dropped(tenant: Tenant, tools: Toolbox) -> None:
    """The step gets it empty, and makes its own the next time; what no step has come for goes with the run."""
    used, left, other = (StagingShape(name=f"x_staging_{name}", columns={"a": "INT64"}).table(str(uuid.uuid4()), 1) for name in "abc")
    tools.staging.begin_all(tenant.tenant_id, [used, left])
    await tools.staging.made(tenant.tenant_id, used)
    await tenant.rows(f"INSERT INTO {used.name} (a) VALUES (1)")

    tools.staging.drop_begun(tenant.tenant_id, [used, left, other])
    await tools.staging.dropped()
    assert (await columns(tenant, used), await columns(tenant, left)) == (["a"], [])

    await tools.staging.made(tenant.tenant_id, used)
    assert await tenant.rows(f"SELECT a FROM {used.name}") == [], "another try of the step"
