"""Publishes costs into a tenant's dataset as a run would: rows of `focus_cost_daily`, the ledger's row of the day, and its changes, in one
transaction. Without our own code.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import make_block
from services.platform.settings import REPOSITORY

DDL = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")

_SCRIPT = """
BEGIN TRANSACTION;
DELETE FROM focus_cost_daily WHERE x_UsageDate = @day;
INSERT INTO focus_cost_daily (
  x_UsageDate, BilledCost, EffectiveCost, ContractedCost, ListCost, BillingAccountId, BillingAccountType, BillingCurrency,
  BillingPeriodStart, BillingPeriodEnd, ChargeCategory, ChargeClass, ChargeFrequency, ChargePeriodStart, ChargePeriodEnd, InvoiceIssuerName,
  ProviderName, PublisherName, ServiceCategory, ServiceName, ServiceSubcategory, x_CostType, x_CreditsTotal, Tags
)
SELECT
  @day, c.amount, c.amount, c.amount, c.amount, c.account, 'Billing Account', c.currency,
  TIMESTAMP(c.month, 'America/Los_Angeles'), TIMESTAMP(DATE_ADD(c.month, INTERVAL 1 MONTH), 'America/Los_Angeles'),
  c.category, c.class, 'Usage-Based',
  TIMESTAMP_ADD(TIMESTAMP(@day), INTERVAL c.hour HOUR), TIMESTAMP_ADD(TIMESTAMP(@day), INTERVAL c.hour + 1 HOUR),
  'Google Cloud', 'Google Cloud', 'Google Cloud', 'Compute', c.service, 'Other', c.cost_type, c.credits, PARSE_JSON('{"team": "core"}')
FROM UNNEST(@charges) AS c;
INSERT INTO x_meta_cost_changes (
  source, usage_date, service, currency, cost_before, cost_after, delta, is_first_load, after_final, pipeline_logging_id, changed_at
)
SELECT 'gcp', @day, c.service, c.currency, 0, SUM(c.amount), SUM(c.amount), TRUE, @state = 'FINAL', 'a-run', @at
FROM UNNEST(@charges) AS c
GROUP BY c.service, c.currency;
DELETE FROM x_meta_cost_days WHERE source = 'gcp' AND usage_date = @day;
INSERT INTO x_meta_cost_days (source, usage_date, row_count, sums, version, focus_version, state, state_rule, last_loaded_at, changed_at)
SELECT
  'gcp', @day, ARRAY_LENGTH(@charges), [STRUCT('USD' AS currency, NUMERIC '1' AS net_cost, NUMERIC '1' AS size)], @version, @version,
  @state, 'as said', @at, @at;
COMMIT TRANSACTION;
SELECT TRUE AS done
"""
_CHARGE = {
    "amount": "NUMERIC",
    "account": "STRING",
    "currency": "STRING",
    "month": "DATE",
    "category": "STRING",
    "class": "STRING",
    "service": "STRING",
    "cost_type": "STRING",
    "credits": "NUMERIC",
    "hour": "INT64",
}


@dataclass(frozen=True, kw_only=True)
class Charge:
    """One row. Without a month it is invoiced in that of its day."""

    amount: str
    service: str = "Compute Engine"
    currency: str = "USD"
    account: str = "000000-AAAAAA"
    category: str = "Usage"
    charge_class: str | None = None
    month: date | None = None
    cost_type: str = "regular"
    credits: str | None = "0"
    hour: int = 9


async def publish(bq: BigQuery, tenant_id: str, day: date, *charges: Charge, version: int = 1, state: str = "OPEN") -> datetime:
    """Replaces the day; the moment that the ledger has for it."""
    dataset = bq.tenant(tenant_id)
    for name in ("focus_cost_daily", "x_meta_cost_days", "x_meta_cost_changes"):
        await bq.query(DDL[name].create, {}, dataset=dataset)
    at = datetime.fromisoformat(f"{day}T00:00:00+00:00") + timedelta(hours=24 + version)
    rows = [
        {
            "amount": Decimal(one.amount),
            "account": one.account,
            "currency": one.currency,
            "month": one.month or day.replace(day=1),
            "category": one.category,
            "class": one.charge_class,
            "service": one.service,
            "cost_type": one.cost_type,
            "hour": one.hour,
            "credits": None if one.credits is None else Decimal(one.credits),
        }
        for one in charges
    ]
    kinds = ", ".join(f"{name} {kind}" for name, kind in _CHARGE.items())
    params = {"day": "DATE", "charges": f"ARRAY<STRUCT<{kinds}>>", "version": "INT64", "state": "STRING", "at": "TIMESTAMP"}
    values = {"day": day, "charges": rows, "version": version, "state": state, "at": at}
    await bq.query(make_block("publish_for_test", _SCRIPT, params), values, dataset=dataset)
    return at
