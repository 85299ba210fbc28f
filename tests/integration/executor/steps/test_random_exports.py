"""Exports at random, of every schema that exports have had: the money arrives, by service, project and currency, to the last digit.

RANDOM_EXPORTS=100 takes a hundred days instead of ten.
"""

import math
from collections import defaultdict
from collections.abc import Awaitable, Callable

from services.executor.records import RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.templates.step import Toolbox
from tests.support.executor.billing_export import load
from tests.support.executor.random_exports import Key, Money, money, random_exports
from tests.support.executor.tenant import Tenant


async def test_sums_of_random_exports_are_exact(tenant: Tenant, tools: Toolbox, begin: Callable[..., Awaitable[PreparedRun]]) -> None:
    exports = random_exports()
    for export in exports:
        load(tenant.host, f"{tenant.project}.random.{export.table}", export.rows, export.schema)
        job = await begin(start_date=str(export.first), end_date=str(export.last), export_table=f"random.{export.table}")
        outcome = await execute(job, tools)
        assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None), export.table

    published = defaultdict[str, dict[Key, Money]](lambda: defaultdict(Money))
    columns = "source_table, service_id, project_id, currency, cost, credits_total, net_cost, credits, other_columns"
    for row in await tenant.rows(f"SELECT {columns} FROM billing_cost_daily"):
        sums = published[row["source_table"].rsplit(".", 1)[1]]
        key = (row["service_id"], row["project_id"], row["currency"])
        sums[key] = sums[key].plus(row["cost"], [row["credits_total"]])
        assert row["net_cost"] == row["cost"] + row["credits_total"]
        assert math.isclose(sum(credit["amount"] or 0.0 for credit in row["credits"]), row["credits_total"], abs_tol=1e-9)
        assert row["other_columns"] == ({"exported_by": "a script"} if "copy_of_an_export" in row["source_table"] else None)
    assert published == {export.table: money(export.rows) for export in exports}
