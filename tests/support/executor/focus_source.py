"""Rows of billing_cost_daily, inserted without an export: loading them is tested elsewhere."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from google.cloud import bigquery

from services.platform.bigquery.ddl import load_tables
from services.platform.settings import REPOSITORY
from tests.support.executor.tenant import Tenant

DAY = date(2025, 11, 17)
TABLE = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")["billing_cost_daily"]


def source_row(day: date = DAY, **changes: object) -> dict[str, Any]:
    """A row of `day`: an hour on demand, at 10 US dollars. `credits` are also added up; JSON columns take dicts and lists."""
    start = datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
    row: dict[str, Any] = {
        "usage_date": day,
        "billing_account_id": "01AB2C-3D4E5F-6A7B8C",
        "service_id": "6F81-5844-456A",
        "service_description": "Compute Engine",
        "sku_id": "SKU",
        "sku_description": "N2 Instance Core running in Americas",
        "usage_start_time": start,
        "usage_end_time": start + timedelta(hours=1),
        "project_id": "shop",
        "project_name": "The shop",
        "labels": {},
        "system_labels": {},
        "usage_amount": 3600.0,
        "usage_unit": "seconds",
        "usage_amount_in_pricing_units": 1.0,
        "usage_pricing_unit": "hour",
        "cost": 10.0,
        "cost_at_list": 10.0,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "cost_type": "regular",
        "invoice_month": f"{day:%Y%m}",
        "credits": [],
        **changes,
    }
    row["credits_total"] = sum(credit["amount"] for credit in row["credits"] or [])
    return {**row, "net_cost": row["cost"] + row["credits_total"]}


async def insert(tenant: Tenant, rows: Iterable[Mapping[str, Any]]) -> None:
    """Puts the rows into the tenant's billing_cost_daily, which is made if it is not there. What a row does not name is NULL."""
    text = json.dumps([{name: value for name, value in row.items() if value is not None} for row in rows], default=str)
    read = ", ".join(
        f"JSON_QUERY(r, '$.{name}')" if kind == "JSON" else f"CAST(JSON_VALUE(r, '$.{name}') AS {kind})"
        for name, kind in TABLE.columns.items()
    )
    sql = f"INSERT INTO billing_cost_daily ({', '.join(TABLE.columns)}) SELECT {read} FROM UNNEST(JSON_QUERY_ARRAY(PARSE_JSON(@rows))) AS r"
    config = bigquery.QueryJobConfig(
        default_dataset=tenant.bq.tenant(tenant.tenant_id), query_parameters=[bigquery.ScalarQueryParameter("rows", "STRING", text)]
    )
    await tenant.bq.query(TABLE.create, {}, dataset=tenant.bq.tenant(tenant.tenant_id))
    await tenant.bq.call("insert_costs", lambda _: tenant.bq.client.query_and_wait(sql, job_config=config))
