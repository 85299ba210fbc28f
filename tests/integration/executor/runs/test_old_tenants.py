"""A tenant whose tables are older than some columns: they get the new columns, rows stay, pipelines keep working."""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

from services.executor.records import RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.store import Store
from services.executor.templates.name import PipelineName
from services.executor.templates.step import Toolbox
from services.platform import metrics
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.tenant_tables import TenantTables
from services.platform.settings import REPOSITORY
from tests.support.executor.billing_export import MODERN, full, load
from tests.support.executor.tenant import Tenant

FOCUS = PipelineName(provider="gcp", domain="cost", template="focus")
DAY, OLD_DAY = date(2025, 11, 17), date(2025, 11, 16)
NOW_TABLES = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")

OLD_TABLES = {
    "billing_cost_daily": """(
        usage_date DATE NOT NULL, billing_account_id STRING, service_id STRING, service_description STRING, sku_id STRING,
        sku_description STRING, usage_start_time TIMESTAMP, usage_end_time TIMESTAMP, project_id STRING, project_name STRING,
        project_number STRING, location STRING, region STRING, zone STRING, resource_name STRING, resource_global_name STRING, labels
        JSON, system_labels JSON, usage_amount FLOAT64, usage_unit STRING, usage_amount_in_pricing_units FLOAT64, usage_pricing_unit
        STRING, cost FLOAT64, credits_total FLOAT64, net_cost FLOAT64, cost_at_list FLOAT64, currency STRING, currency_conversion_rate
        FLOAT64, cost_type STRING, invoice_month STRING, loaded_at TIMESTAMP, pipeline_logging_id STRING
    ) PARTITION BY usage_date CLUSTER BY service_id""",
    "focus_cost_daily": """(
        x_UsageDate DATE NOT NULL, AvailabilityZone STRING, BilledCost NUMERIC NOT NULL, BillingAccountId STRING NOT NULL,
        BillingAccountName STRING, BillingAccountType STRING NOT NULL, BillingCurrency STRING NOT NULL, BillingPeriodEnd TIMESTAMP NOT
        NULL, BillingPeriodStart TIMESTAMP NOT NULL, CapacityReservationId STRING, CapacityReservationStatus STRING, ChargeCategory
        STRING NOT NULL, ChargeClass STRING, ChargeDescription STRING, ChargeFrequency STRING NOT NULL, ChargePeriodEnd TIMESTAMP NOT
        NULL, ChargePeriodStart TIMESTAMP NOT NULL, CommitmentDiscountCategory STRING, CommitmentDiscountId STRING,
        CommitmentDiscountName STRING, CommitmentDiscountQuantity FLOAT64, CommitmentDiscountStatus STRING, CommitmentDiscountType
        STRING, CommitmentDiscountUnit STRING, ConsumedQuantity FLOAT64, ConsumedUnit STRING, ContractedCost NUMERIC NOT NULL,
        ContractedUnitPrice FLOAT64, EffectiveCost NUMERIC NOT NULL, InvoiceId STRING, InvoiceIssuerName STRING NOT NULL, ListCost
        NUMERIC NOT NULL, ListUnitPrice FLOAT64, PricingCategory STRING, PricingCurrency STRING, PricingCurrencyContractedUnitPrice
        FLOAT64, PricingCurrencyEffectiveCost NUMERIC, PricingCurrencyListUnitPrice FLOAT64, PricingQuantity FLOAT64, PricingUnit
        STRING, ProviderName STRING NOT NULL, PublisherName STRING NOT NULL, RegionId STRING, RegionName STRING, ResourceId STRING,
        ResourceName STRING, ResourceType STRING, ServiceCategory STRING NOT NULL, ServiceName STRING NOT NULL, ServiceSubcategory
        STRING NOT NULL, SkuId STRING, SkuMeter STRING, SkuPriceDetails JSON, SkuPriceId STRING, SubAccountId STRING, SubAccountName
        STRING, SubAccountType STRING, Tags JSON, x_CostType STRING, x_CreditsTotal NUMERIC, x_CurrencyConversionRate FLOAT64,
        x_InvoiceMonth STRING, x_Location STRING, x_ProjectNumber STRING, x_ServiceId STRING, x_SystemLabels JSON, x_LoadedAt TIMESTAMP,
        x_PipelineLoggingId STRING
    ) PARTITION BY x_UsageDate CLUSTER BY ServiceName""",
    "x_meta_pipeline_runs": """(
        pipeline_logging_id STRING NOT NULL, tenant_id STRING NOT NULL, pipeline_id STRING, user_id STRING, status STRING, trigger_type
        STRING, trigger_by STRING, run_id STRING, attempt INT64, parameters JSON, started_at TIMESTAMP, deadline_at TIMESTAMP,
        completed_at TIMESTAMP, duration_ms INT64, rows_processed INT64, error_message STRING
    ) CLUSTER BY pipeline_logging_id""",
    "x_meta_step_logs": """(
        log_id STRING NOT NULL, tenant_id STRING NOT NULL, user_id STRING, pipeline_logging_id STRING, step_id STRING, step_type STRING,
        step_index INT64, attempt INT64, action STRING, provider STRING, status STRING, rows_processed INT64, duration_ms INT64,
        error_message STRING, metadata JSON, timestamp TIMESTAMP
    ) CLUSTER BY pipeline_logging_id""",
    "x_meta_dq_results": """(
        dq_result_id STRING NOT NULL, tenant_id STRING NOT NULL, user_id STRING, pipeline_logging_id STRING, step_id STRING, table_name
        STRING, check_name STRING, severity STRING, status STRING, observed_value STRING, threshold STRING, failing_rows INT64,
        executed_at TIMESTAMP, sample_rows JSON
    ) CLUSTER BY pipeline_logging_id""",
}
"""As they were made then."""
OLD_ROWS = """
    INSERT INTO billing_cost_daily (
      usage_date, billing_account_id, service_id, service_description, sku_id, sku_description, usage_start_time, usage_end_time,
      project_id, project_name, labels, system_labels, usage_amount, usage_unit, usage_amount_in_pricing_units, usage_pricing_unit,
      cost, credits_total, net_cost, currency, currency_conversion_rate, cost_type, invoice_month, pipeline_logging_id
    )
    SELECT
      DATE '2025-11-16', '01AB2C-3D4E5F-6A7B8C', '6F81-5844-456A', 'Compute Engine', 'D2E8', 'N1 core', TIMESTAMP '2025-11-16 05:00:00+00',
      TIMESTAMP '2025-11-16 06:00:00+00', 'shop', 'The shop', JSON '{"team": "a"}', JSON '{}', 3600.0, 'seconds', 1.0, 'hour',
      i, -0.5, i - 0.5, 'USD', 1.0, 'regular', '202511', 'an-old-run'
    FROM UNNEST([4.0, 2.5]) AS i;
    INSERT INTO focus_cost_daily (
      x_UsageDate, BilledCost, BillingAccountId, BillingAccountType, BillingCurrency, BillingPeriodStart, BillingPeriodEnd, ChargeCategory,
      ChargeFrequency, ChargePeriodStart, ChargePeriodEnd, ContractedCost, EffectiveCost, InvoiceIssuerName, ListCost, ProviderName,
      PublisherName, ServiceCategory, ServiceName, ServiceSubcategory, x_PipelineLoggingId
    )
    SELECT
      DATE '2025-11-10', 1, 'a', 'Billing Account', 'USD', t, t, 'Usage', 'Usage-Based', t, t, 1, 1, 'Google Cloud', 1, 'Google Cloud',
      'Google Cloud', 'Compute', 'Compute Engine', 'Virtual Machines', 'an-old-run'
    FROM UNNEST([TIMESTAMP '2025-11-10 00:00:00+00']) AS t;
"""


async def make_old(tenant: Tenant) -> None:
    drop = ";\n".join(f"DROP TABLE IF EXISTS {name}" for name in NOW_TABLES)
    create = ";\n".join(f"CREATE TABLE {name} {columns}" for name, columns in OLD_TABLES.items())
    await tenant.rows(f"{drop};\n{create};\n{OLD_ROWS}")


def added() -> dict[str, float]:
    """How often a table was given columns, by statement."""
    samples = [sample for metric in metrics.BIGQUERY_JOBS.collect() for sample in metric.samples if sample.name.endswith("_total")]
    return {one.labels["statement"]: one.value for one in samples if one.labels["statement"].startswith("add_columns_")}


async def columns_of(tenant: Tenant, table: str) -> list[str]:
    sql = f"SELECT column_name FROM INFORMATION_SCHEMA.COLUMNS WHERE table_name = '{table}' ORDER BY ordinal_position"
    return [row["column_name"] for row in await tenant.rows(sql)]


async def test_its_pipelines_go_on(tenant: Tenant, tools: Toolbox, begin: Callable[..., Awaitable[PreparedRun]], store: Store) -> None:
    """Billing, and FOCUS over a new day and an old one; what was there has NULL in the new columns and is otherwise as it was."""
    await make_old(tenant)
    old_rows: Callable[[], Awaitable[list[dict[str, Any]]]] = lambda: tenant.rows(  # noqa: E731 - asked twice
        "SELECT * FROM billing_cost_daily WHERE usage_date = '2025-11-16' ORDER BY cost"
    )
    before, altered = await old_rows(), added()
    load(tenant.host, f"{tenant.project}.b.gcp_billing_export_resource_v1_X", [full(DAY), full(DAY, cost=0.5)], MODERN)

    for _ in range(2):
        job = await begin(date="2025-11-17")
        assert (await execute(job, tools)).error_message is None
    outcome = await execute(await begin(FOCUS, start_date="2025-11-16", end_date="2025-11-17"), tools)

    assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
    for table in ("billing_cost_daily", "focus_cost_daily"):
        assert set(await columns_of(tenant, table)) == set(NOW_TABLES[table].columns)
        # All at once, and once; a table whose DDL has nothing new is left alone.
        times = added().get(f"add_columns_{table}", 0) - altered.get(f"add_columns_{table}", 0)
        assert times == (len(OLD_TABLES[table].split(",")) < len(NOW_TABLES[table].columns))
    after = await old_rows()
    assert [{name: row[name] for name in before[0]} for row in after] == before
    assert {row[name] for row in after for name in row.keys() - before[0].keys()} == {None}
    new = await tenant.rows("SELECT DISTINCT credits, tags, price_list_price FROM billing_cost_daily WHERE usage_date = '2025-11-17'")
    assert new == [{"credits": full(DAY)["credits"], "tags": full(DAY)["tags"], "price_list_price": 0.04}]
    focus = await tenant.rows("SELECT x_UsageDate AS day, SUM(BilledCost) AS cost FROM focus_cost_daily GROUP BY 1 ORDER BY 1")
    assert [(one["day"], float(one["cost"])) for one in focus] == [(date(2025, 11, 10), 1.0), (OLD_DAY, 5.5), (DAY, 1.0)]
    verdicts = await store.list_dq_results(tenant.tenant_id, job.run.pipeline_logging_id)
    assert {one.status for one in verdicts} == {"PASSED"}


async def test_a_table_is_asked_for_once_and_left_alone_when_it_is_new(tenant: Tenant, tools: Toolbox) -> None:
    """Made where it is missing, by two at once too; nothing is altered that has all its columns; no dataset is an error, not a table."""
    before, table = added(), NOW_TABLES["billing_cost_daily"]
    for tables in (TenantTables(tenant.bq), TenantTables(tenant.bq)):
        for _ in range(2):
            await tables.ensure(tenant.tenant_id, table)
    assert await columns_of(tenant, table.name) == list(table.columns)
    assert added() == before
