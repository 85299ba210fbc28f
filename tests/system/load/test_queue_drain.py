"""A full queue, processed by real executors: the statements of a run on the shared tables."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest

from benchmarks.counts import Row, fill
from benchmarks.crowd import CALLS, make_due
from benchmarks.whole_stack import SHARED_TABLES, drain
from tests.system.load.conftest import Load

pytestmark = pytest.mark.timeout(3600)


A_RUN, A_SECOND = 0.2, 0.5
"""Statements on a table that all tenants share, at most; BigQuery takes 2.5 a second. What gathers is written every few seconds: where few
runs end in that time, it is the time that counts."""


async def test_runs_change_shared_tables_in_few_statements(load: Load, record_property: Callable[[str, object], None]) -> None:
    """All end well and once, though answers are lost on the way."""
    load.gate.opened.set()
    unlimited = [member.tenant_id for member in load.crowd if not member.limits]
    runs = CALLS * len(load.crowd)
    await make_due(unlimited, runs, load.whole.settings)
    row, before, began = Row(name="drain", at_once=runs), load.whole.counted(), time.monotonic()

    await asyncio.to_thread(drain, load.whole, runs)

    took = time.monotonic() - began
    fill(row, before, load.whole.counted())
    spent = {table: row.statements[table, "dml"] for table in SHARED_TABLES}
    record_property("drain", f"{runs} runs in {took:.0f} s: {spent}, {row.again} of {row.jobs} jobs sent again")
    # What is sent again because its answer was lost is the proxy's doing.
    assert max(spent.values()) - row.again <= max(A_RUN * runs, A_SECOND * took)
    states = await asyncio.to_thread(load.whole.query, f"SELECT state FROM {load.whole.local.control_dataset}.scheduled_pipeline_runs")
    assert Counter(row["state"] for row in states) == {"COMPLETED": runs}
    completed = "SELECT run_id FROM {}.x_meta_pipeline_runs WHERE run_id IS NOT NULL AND status = 'COMPLETED'"
    led = [row["run_id"] for tenant_id in unlimited for row in await asyncio.to_thread(load.whole.query, completed.format(tenant_id))]
    assert (len(led), len(set(led))) == (runs, runs)
