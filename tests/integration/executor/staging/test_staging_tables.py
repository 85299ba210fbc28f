"""Staging tables, created and dropped through BigQuery's blocking client."""

import asyncio
import threading
import time
import uuid
from typing import Any

import pytest

from services.executor.staging.shape import StagingShape
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
