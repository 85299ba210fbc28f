"""The view `runnable_tenants`: which tenants may run, and what the ledger leaves them."""

from typing import Any

from tests.integration.scheduler.conftest import Tables

_QUOTAS = """
INSERT INTO tenant_usage_quotas (tenant_id, usage_date, pipelines_run_today, pipelines_run_month, daily_limit, monthly_limit, live_runs)
SELECT q.tenant_id, DATE_SUB(CURRENT_DATE(), INTERVAL q.days_ago DAY), q.today, q.month, q.daily_limit, q.monthly_limit,
  [STRUCT('a' AS reservation_id, TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL 1 HOUR) AS lease_expires_at),
   STRUCT('b' AS reservation_id, TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 HOUR) AS lease_expires_at)]
FROM UNNEST(@quotas) AS q
"""
_QUOTA = "tenant_id STRING, days_ago INT64, today INT64, month INT64, daily_limit INT64, monthly_limit INT64"


async def test_what_is_left(tables: Tables) -> None:
    """Today's row before the subscription's limits; yesterday's only for what is alive and for the month; no row, nothing used."""
    today, yesterday, fresh, full = await tables.tenants(4, daily_limit=10, concurrent_limit=3)
    (unlimited,) = await tables.tenants()
    suspended, unpaid = await tables.tenants(2)
    await tables.run("UPDATE tenant_profiles SET status = 'SUSPENDED' WHERE tenant_id = @t", {"t": ("STRING", suspended)})
    await tables.run("UPDATE tenant_subscriptions SET status = 'CANCELLED' WHERE tenant_id = @t", {"t": ("STRING", unpaid)})

    def quota(tenant_id: str, days_ago: int, run: int, daily_limit: int | None, monthly_limit: int | None = None) -> dict[str, Any]:
        limits = {"daily_limit": daily_limit, "monthly_limit": monthly_limit}
        return {"tenant_id": tenant_id, "days_ago": days_ago, "today": run, "month": run, **limits}

    rows = [
        quota(today, 0, 4, 6, 5),
        quota(today, 1, 9, 9),
        quota(yesterday, 1, 9, 9),
        quota(full, 0, 12, None),
        quota(unlimited, 0, 4, None),
    ]
    await tables.run(_QUOTAS, {"quotas": (f"ARRAY<STRUCT<{_QUOTA}>>", rows)})

    names = {"t": ("ARRAY<STRING>", [today, yesterday, fresh, full, unlimited, suspended, unpaid])}
    sql = "SELECT v.tenant_id, v.units_left, v.slots_left FROM runnable_tenants AS v WHERE v.tenant_id IN UNNEST(@t)"
    left = {row["tenant_id"]: (row["units_left"], row["slots_left"]) for row in await tables.run(sql, names)}

    assert left == {today: (1, 2), yesterday: (10, 2), fresh: (10, 3), full: (0, 2), unlimited: (None, None)}
