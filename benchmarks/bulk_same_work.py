"""The checks and the publish of gcp/cost/billing as a bare script would have them: one SELECT, one transaction, over rows as the export
nests them. Without what guards a run (its claim, the ledger of days, what moved, days that lose too much).
"""

import json
from pathlib import Path

from google.cloud import bigquery

from services.platform.bigquery.ddl import load_tables

TABLE = "billing_cost_daily"
_FINITE = ("cost", "cost_at_list", "currency_conversion_rate", "usage.amount", "usage.amount_in_pricing_units")
CHECKS = f"""
SELECT
  COUNT(*) AS row_count, {", ".join(f"COUNTIF(IS_NAN(r.{name}) OR IS_INF(r.{name})) AS not_finite_{n}" for n, name in enumerate(_FINITE))},
  COUNTIF(r.usage_start_time IS NULL OR DATE(r.usage_start_time) != @day) AS other_days, COUNTIF(r.cost IS NULL) AS without_cost,
  COUNTIF(r.currency IS NULL) AS without_currency, COUNT(DISTINCT r.currency) AS currencies,
  COUNTIF(r.service.id IS NULL) AS without_service, SUM(r.cost) AS cost
FROM loaded AS r
"""  # noqa: S608 - made of constants
_ROWS = {
    "usage_date": "DATE(r.usage_start_time)",
    **{name: f"r.{name}" for name in ("billing_account_id", "usage_start_time", "usage_end_time", "cost", "cost_at_list", "currency")},
    **{name: f"r.{name}" for name in ("currency_conversion_rate", "cost_type")},
    **{f"{of}_{name}": f"r.{of}.{name}" for of in ("service", "sku") for name in ("id", "description")},
    **{f"project_{name}": f"r.project.{name}" for name in ("id", "name", "number")},
    **{name: f"r.location.{name}" for name in ("location", "region", "zone", "country")},
    **{f"resource_{name}": f"r.resource.{name}" for name in ("name", "global_name")},
    **{f"usage_{name}": f"r.usage.{name}" for name in ("amount", "unit", "amount_in_pricing_units", "pricing_unit")},
    **{name: f"TO_JSON(r.{name})" for name in ("labels", "system_labels", "credits")},
    "credits_total": "r.credits_total",
    "net_cost": "r.cost + r.credits_total",
    "invoice_month": "r.invoice.month",
    "loaded_at": "CURRENT_TIMESTAMP()",
}
PUBLISH = f"""
BEGIN TRANSACTION;
DELETE FROM {TABLE} WHERE usage_date = @day;
INSERT INTO {TABLE} ({", ".join(_ROWS)})
SELECT {", ".join(_ROWS.values())}
FROM (SELECT r.*, IFNULL((SELECT SUM(c.amount) FROM UNNEST(r.credits) AS c), 0.0) AS credits_total FROM loaded AS r) AS r;
COMMIT TRANSACTION
"""  # noqa: S608 - made of constants


def make_table(client: bigquery.Client, dataset: str) -> None:
    """The table that is published to, if there is none. Before the clock runs, as for a tenant."""
    ddl = load_tables(Path(__file__).resolve().parents[1] / "configs" / "bigquery" / "tenant")[TABLE]
    client.query_and_wait(ddl.create.sql, job_config=_config(client, dataset))


def check_and_publish(client: bigquery.Client, dataset: str, day: str) -> None:
    """Raises RuntimeError if a check fails."""
    parameters = [bigquery.ScalarQueryParameter("day", "DATE", day)]
    [found] = client.query_and_wait(CHECKS, job_config=_config(client, dataset, parameters))
    if wrong := {name: value for name, value in found.items() if name.startswith(("not_", "other_", "without_")) and value}:
        raise RuntimeError(json.dumps(wrong))
    client.query_and_wait(PUBLISH, job_config=_config(client, dataset, parameters))


def _config(
    client: bigquery.Client, dataset: str, parameters: list[bigquery.ScalarQueryParameter] | None = None
) -> bigquery.QueryJobConfig:
    return bigquery.QueryJobConfig(default_dataset=f"{client.project}.{dataset}", query_parameters=parameters or [])
