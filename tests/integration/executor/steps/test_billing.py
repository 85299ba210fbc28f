"""gcp/cost/billing on the emulator, compared with the source it read."""

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.store import Store
from services.executor.templates.step import Toolbox
from services.platform.bigquery.ddl import load_tables
from services.platform.settings import REPOSITORY
from tests.support.executor.billing_export import ACCOUNT, DETAILED, MODERN, STANDARD, full, load, many, row
from tests.support.executor.tenant import Tenant

DDL = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")
DAY, NEXT = date(2025, 11, 17), date(2025, 11, 18)
type Begin = Callable[..., Awaitable[PreparedRun]]


def export(tenant: Tenant, rows: list[dict[str, Any]], *, schema: pa.Schema = DETAILED, dataset: str = "cloud_costs") -> str:
    kind = "" if schema is STANDARD else "resource_"
    table = f"{tenant.project}.{dataset}.gcp_billing_export_{kind}v1_{ACCOUNT}"
    load(tenant.host, table, rows, schema)
    return table


async def daily(tenant: Tenant) -> list[dict[str, Any]]:
    return await tenant.rows("SELECT * FROM billing_cost_daily ORDER BY usage_start_time, resource_name, cost")


async def test_a_day_is_published_exactly(tenant: Tenant, tools: Toolbox, begin: Begin, store: Store) -> None:
    """Sums of cost and credits by service agree with the source, other days stay out, and nothing temporary is left."""
    rows = many(DAY, 300)
    edges = [row(NEXT, cost=1e6), row(date(2025, 11, 16), hour=23, cost=1e6)]
    source = export(tenant, [*rows, *edges])
    job = await begin(date="2025-11-17")

    outcome = await execute(job, tools)

    assert (outcome.status, outcome.rows_processed, outcome.error_message) == (RunStatus.COMPLETED, 300, None)
    expected = defaultdict[str, list[float]](lambda: [0, 0.0, 0.0])
    for one in rows:
        total = expected[one["service"]["description"]]
        total[0] += 1
        total[1] += one["cost"]
        total[2] += sum(credit["amount"] for credit in one["credits"])
    found = await tenant.rows(
        "SELECT service_description AS s, COUNT(*) AS n, SUM(cost) AS c, SUM(credits_total) AS k, SUM(net_cost) AS t "
        "FROM billing_cost_daily WHERE usage_date = '2025-11-17' GROUP BY 1"
    )
    assert {one["s"]: one["n"] for one in found} == {name: total[0] for name, total in expected.items()}
    for one in found:
        assert math.isclose(one["c"], expected[one["s"]][1], abs_tol=1e-9)
        assert math.isclose(one["k"], expected[one["s"]][2], abs_tol=1e-9)
        assert math.isclose(one["t"], expected[one["s"]][1] + expected[one["s"]][2], abs_tol=1e-9)
    await tools.staging.dropped()
    left = await tenant.rows("SELECT table_name FROM INFORMATION_SCHEMA.TABLES WHERE table_name LIKE 'x_staging%'")
    assert left == []
    assert list(tools.spool.folder.iterdir()) == []
    steps = await store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id)
    told = [(step.step_id, step.action, step.status, step.user_id) for step in steps]
    assert told == [
        (step, action, status, "alice")
        for step in ("extract", "checks", "publish")
        for action, status in (("STEP_STARTED", "RUNNING"), ("STEP_COMPLETED", "COMPLETED"))
    ]
    assert steps[1].metadata["source_table"] == source
    verdicts = await store.list_dq_results(tenant.tenant_id, job.run.pipeline_logging_id)
    assert {verdict.check_name: verdict.status for verdict in verdicts} == dict.fromkeys(
        (
            "rows_present",
            "rows_as_usual",
            "amounts_finite",
            "credits_finite",
            "rows_agree_with_source",
            "cost_agrees_with_source",
            "credits_agree_with_source",
            "usage_on_the_date",
            "cost_not_null",
            "currency_not_null",
            "one_currency",
            "service_not_null",
            "credits_not_positive",
        ),
        "PASSED",
    )
    assert {(verdict.table_name, verdict.user_id) for verdict in verdicts} == {("billing_cost_daily", "alice")}


async def test_every_column_arrives(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """One row with all there is today: each column of billing_cost_daily holds its part of the export, and what is new stands beside."""
    rich = full(
        DAY,
        hour=5,
        cost=2.5,
        labels=[{"key": "team", "value": 'o\'neil "x" \\ ü'}, {"key": "env", "value": None}],
        credits=[
            {"name": "a", "amount": -0.5, "full_name": "A", "id": "a-1", "type": "PROMOTION"},
            {"name": "b", "amount": -0.25, "full_name": None, "id": None, "type": "FREE_TIER"},
            {"name": "c", "amount": None, "full_name": None, "id": None, "type": None},
        ],
        price=full(DAY)["price"] | {"new_thing": Decimal("0.1")},
        new_column={"at": datetime(2025, 11, 17, 5, tzinfo=UTC), "nothing": None},
    )
    price = pa.struct([*MODERN.field("price").type, ("new_thing", pa.decimal128(38, 9))])
    new = pa.struct([("at", pa.timestamp("us", tz="UTC")), ("nothing", pa.string())])
    schema = pa.schema({field.name: field.type for field in MODERN} | {"price": price, "new_column": new})
    source = export(tenant, [rich], schema=schema)
    job = await begin(date="2025-11-17")

    await execute(job, tools)

    [found] = await daily(tenant)
    loaded_at = found.pop("loaded_at")
    assert abs((datetime.now(UTC) - loaded_at).total_seconds()) < 60
    assert found == {
        "usage_date": DAY,
        "billing_account_id": ACCOUNT.replace("_", "-"),
        "service_id": "6F81-5844-456A",
        "service_description": "Compute Engine",
        "sku_id": "D2E8-1234-5678",
        "sku_description": "N1 core",
        "usage_start_time": datetime(2025, 11, 17, 5, tzinfo=UTC),
        "usage_end_time": datetime(2025, 11, 17, 6, tzinfo=UTC),
        "project_id": "shop",
        "project_name": "The shop",
        "project_number": "42",
        "location": "us-central1",
        "region": "us-central1",
        "zone": "us-central1-a",
        "resource_name": "vm-1",
        "resource_global_name": "//compute.googleapis.com/projects/shop/zones/z/instances/1",
        "labels": {"team": 'o\'neil "x" \\ ü', "env": None},
        "system_labels": {"compute.googleapis.com/cores": "4"},
        "usage_amount": 3600.0,
        "usage_unit": "seconds",
        "usage_amount_in_pricing_units": 1.0,
        "usage_pricing_unit": "hour",
        "cost": 2.5,
        "credits_total": -0.75,
        "net_cost": 1.75,
        "cost_at_list": 1.5,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "cost_type": "regular",
        "invoice_month": "202511",
        "pipeline_logging_id": job.run.pipeline_logging_id,
        "export_time": datetime(2025, 11, 17, 10, tzinfo=UTC),
        "country": "US",
        "project_ancestry_numbers": "/1/2/",
        "project_labels": {"a": "b"},
        "project_ancestors": rich["project"]["ancestors"],
        "tags": rich["tags"],
        "credits": rich["credits"],
        "price_effective_price": 0.031611,
        "price_tier_start_amount": 0.0,
        "price_unit": "hour",
        "price_pricing_unit_quantity": 1.0,
        "price_list_price": 0.04,
        "price_effective_price_default": 0.035,
        "price_list_price_consumption_model": 0.038,
        "cost_at_effective_price_default": 1.125,
        "cost_at_list_consumption_model": 1.25,
        "consumption_model_id": "D97B-0795-975B",
        "consumption_model_description": "Compute Flexible CUD",
        "subscription_instance_id": "s-1",
        "transaction_type": "GOOGLE",
        "seller_name": "A shop of others",
        "adjustment_info_id": "a-1",
        "adjustment_info_description": "a refund",
        "adjustment_info_mode": "MANUAL_ADJUSTMENT",
        "adjustment_info_type": "GOODWILL",
        "invoice_publisher_type": "GOOGLE",
        "source_table": source,
        "other_columns": {"price": {"new_thing": 0.1}, "new_column": {"at": "2025-11-17T05:00:00Z"}},
    }
    assert list(found) == [name for name in DDL["billing_cost_daily"].columns if name != "loaded_at"]


async def test_a_missing_value_is_null_and_no_credits_are_zero(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """A row whose STRUCTs are NULL, and a standard export, which has no resource and no cost_at_list."""
    export(tenant, [row(DAY, cost=4.0, project=None, location=None, usage=None, sku=None, invoice=None)], schema=STANDARD)

    await execute(await begin(date="2025-11-17"), tools)

    [found] = await daily(tenant)
    gone = {"project_id", "region", "usage_amount", "sku_id", "invoice_month", "resource_name", "resource_global_name", "cost_at_list"}
    gone |= {"tags", "project_ancestors", "price_list_price", "consumption_model_id", "subscription_instance_id", "other_columns"}
    assert {name for name in gone if found[name] is not None} == set()
    assert (found["cost"], found["credits_total"], found["net_cost"], found["labels"], found["system_labels"]) == (4.0, 0.0, 4.0, {}, {})
    assert (found["project_labels"], found["credits"]) == ({}, [])


async def test_numeric_costs_are_taken(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """An export whose cost is NUMERIC and whose project number is INT64 ends in the same columns."""
    odd = DETAILED.set(DETAILED.get_field_index("cost"), pa.field("cost", pa.decimal128(38, 9)))
    odd = odd.set(odd.get_field_index("project"), pa.field("project", pa.struct([("id", pa.string()), ("number", pa.int64())])))
    load(
        tenant.host,
        f"{tenant.project}.d.gcp_billing_export_resource_v1_X",
        [row(DAY, cost=Decimal("0.1"), project={"id": "shop", "number": 42})],
        odd,
    )

    outcome = await execute(await begin(date="2025-11-17"), tools)

    assert outcome.error_message is None
    [found] = await daily(tenant)
    assert (found["cost"], found["project_number"], found["project_name"]) == (0.1, "42", None)


async def test_a_rerun_replaces_and_another_date_stays(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """The same date twice leaves the same rows; two dates leave two partitions; what the source has lost is gone after a re-run."""
    export(tenant, [*many(DAY, 40), *many(NEXT, 25, seed=8)])
    for day in ("2025-11-17", "2025-11-18", "2025-11-17"):
        assert (await execute(await begin(date=day), tools)).status is RunStatus.COMPLETED
    counts = "SELECT usage_date AS d, COUNT(*) AS n FROM billing_cost_daily GROUP BY 1 ORDER BY 1"
    assert await tenant.rows(counts) == [{"d": DAY, "n": 40}, {"d": NEXT, "n": 25}]

    export(tenant, [*many(DAY, 10), *many(NEXT, 25, seed=8)])
    await execute(await begin(date="2025-11-17", accept_less=True), tools)
    assert await tenant.rows(counts) == [{"d": DAY, "n": 10}, {"d": NEXT, "n": 25}]


async def test_a_month_is_read_at_once_and_replaced_day_for_day(tenant: Tenant, tools: Toolbox, begin: Begin, store: Store) -> None:
    """Each day as the export has it now; a day of which the export knows nothing any more is empty; the days around it stay."""
    days = [date(2025, 11, day) for day in range(1, 31)]
    rows = [row(day, hour=hour, cost=day.day + hour / 8) for day in days for hour in (0, 23)]
    around = [row(date(2025, 10, 31), hour=23, cost=7.0), row(date(2025, 12, 1), cost=7.0)]
    export(tenant, [*rows, *around])
    for outside in ("2025-10-31", "2025-12-01", "2025-11-05"):
        assert (await execute(await begin(date=outside), tools)).status is RunStatus.COMPLETED
    left = [one for one in rows if one["usage_start_time"].day != 5]
    export(tenant, [*left, *around])
    job = await begin(start_date="2025-11-01", end_date="2025-11-30", accept_less=True)

    outcome = await execute(job, tools)

    assert (outcome.status, outcome.rows_processed, outcome.error_message) == (RunStatus.COMPLETED, 58, None)
    found = await tenant.rows("SELECT usage_date, COUNT(*) AS n, SUM(cost) AS c FROM billing_cost_daily GROUP BY 1 ORDER BY 1")
    expected = [(day, 2, 2 * day.day + 23 / 8) for day in days if day.day != 5]
    assert [(one["usage_date"], one["n"], one["c"]) for one in found] == [
        (date(2025, 10, 31), 1, 7.0),
        *expected,
        (date(2025, 12, 1), 1, 7.0),
    ]
    publish = (await store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id))[-1]
    gone = {"usage_date": "2025-11-05", "currency": "USD", "cost_before": 12.875, "cost_after": 0.0, "cost_moved": -12.875}
    assert publish.metadata["moved"] == [gone]


async def test_rows_that_arrive_late_are_reported_as_the_change_of_the_days_cost(
    tenant: Tenant, tools: Toolbox, begin: Begin, store: Store
) -> None:
    """By currency, credits included; a day that is published for the first time has not moved."""
    rows = [row(DAY, cost=1.1), row(DAY, hour=2, cost=2.0, currency="EUR")]
    moved = []
    for late in ([], [row(DAY, hour=9, cost=0.7, credits=[{"name": "a", "amount": -0.5}])]):
        export(tenant, [*rows, *late])
        job = await begin(date="2025-11-17")
        assert (await execute(job, tools)).status is RunStatus.COMPLETED
        moved.append((await store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id))[-1].metadata["moved"])
    euro = {"usage_date": "2025-11-17", "currency": "EUR", "cost_before": 2.0, "cost_after": 2.0, "cost_moved": 0.0}
    dollar = {"usage_date": "2025-11-17", "currency": "USD", "cost_before": 1.1, "cost_after": 1.3, "cost_moved": 0.2}
    assert moved == [[], [euro, dollar]]


async def test_the_same_date_twice_at_once(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """Both runs complete, and the rows of one of them stand there, once."""
    export(tenant, many(DAY, 50))
    jobs = [await begin(date="2025-11-17") for _ in range(2)]

    outcomes = await asyncio.gather(*(execute(job, tools) for job in jobs))

    assert [(outcome.status, outcome.error_message) for outcome in outcomes] == [(RunStatus.COMPLETED, None)] * 2
    found = await tenant.rows("SELECT pipeline_logging_id AS i, COUNT(*) AS n FROM billing_cost_daily GROUP BY 1")
    assert [one["n"] for one in found] == [50]


async def test_a_day_without_rows_completes_with_a_warning(tenant: Tenant, tools: Toolbox, begin: Begin, store: Store) -> None:
    """Nothing was used: 0 rows are the truth, and an earlier day's rows for that date go away."""
    export(tenant, many(NEXT, 5))
    job = await begin(date="2025-11-17")

    outcome = await execute(job, tools)

    assert (outcome.status, outcome.rows_processed) == (RunStatus.COMPLETED, 0)
    verdicts = await store.list_dq_results(tenant.tenant_id, job.run.pipeline_logging_id)
    assert [(v.check_name, v.severity, v.failing_rows) for v in verdicts if v.status == "FAILED"] == [("rows_present", "warn", 1)]


FIRST = date(2025, 11, 1)
KEPT = {"cost": 2.0, "credits": [{"name": "c", "amount": -2.0}]}
USD: list[dict[str, Any]] = [{"cost": 2.0}] * 4
CREDIT = {"cost": 0.0, "currency": "EUR", "credits": [{"name": "c", "amount": -20.0}]}
LESS: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]], str | None]] = [
    ("no rows", USD, [], "would keep 0 of 4 USD rows and 0.00 of 8.00 USD"),
    ("less than half of the rows", USD, [{"cost": 8.0}], "would keep 1 of 4 USD rows and 8.00 of 8.00 USD"),
    ("less than half of the cost", USD, [{"cost": 0.9}] * 4, "would keep 4 of 4 USD rows and 3.60 of 8.00 USD"),
    ("another currency", USD, [{"cost": 2.0, "currency": "EUR"}] * 4, "would keep 0 of 4 USD rows and 0.00 of 8.00 USD"),
    ("a currency less", [*USD, {"cost": -9.0, "currency": "EUR"}], USD, "would keep 0 of 1 EUR rows and 0.00 of 9.00 EUR"),
    ("a currency of credits less", [*USD, CREDIT], USD, "would keep 0 of 1 EUR rows"),
    ("fewer refunds", [{"cost": -2.0}] * 4, [{"cost": -0.9}] * 4, "would keep 4 of 4 USD rows and 3.60 of 8.00 USD"),
    ("half of it", USD, USD[:2], None),
    ("credits do not count", USD, [KEPT] * 4, None),
]


async def test_a_read_that_found_much_less_replaces_nothing_unless_the_caller_says_so(
    tenant: Tenant, tools: Toolbox, begin: Begin, store: Store
) -> None:
    """One day for each case: those that would lose more than half of their rows or of their cost before credits, by size, or a currency,
    are named, and no day is replaced; with `accept_less` all are. Half of it is no loss of more than half.
    """
    days = [FIRST + timedelta(days=number) for number in range(len(LESS))]
    period = {"start_date": days[0].isoformat(), "end_date": days[-1].isoformat()}
    export(tenant, [row(day, **changes) for day, (_, rows, _, _) in zip(days, LESS, strict=True) for changes in rows])
    assert (await execute(await begin(**period), tools)).status is RunStatus.COMPLETED
    before = await daily(tenant)
    left = [row(day, **changes) for day, (_, _, rows, _) in zip(days, LESS, strict=True) for changes in rows]
    export(tenant, [*left, row(NEXT)])

    job = await begin(**period)
    refused = await execute(job, tools)

    lost = [f"{day} {words}" for day, (_, _, _, words) in zip(days, LESS, strict=True) if words]
    assert refused.status is RunStatus.FAILED
    assert refused.error_message == (
        f"Step publish: Nothing was published, for a day would lose more than half of what it holds: {'; '.join(lost[:5])}; and 2 more. "
        "Check that the export is complete and is the right one; if less is right, run it again with accept_less: true."
    )
    [line] = [line for line in await store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id) if line.action == "STEP_FAILED"]
    assert [one["usage_date"] for one in line.metadata["too_little"]] == [words[:10] for words in lost]
    assert await daily(tenant) == before

    accepted = await execute(await begin(**period, accept_less=True), tools)
    assert (accepted.status, accepted.rows_processed) == (RunStatus.COMPLETED, len(left))
    assert len(await daily(tenant)) == len(left)


async def test_a_lost_fence_publishes_nothing(tenant: Tenant, tools: Toolbox, begin: Begin, store: Store) -> None:
    """A run that was ended while it worked leaves the rows of the run before as they are."""
    export(tenant, many(DAY, 20))
    await execute(await begin(date="2025-11-17"), tools)
    before = await daily(tenant)
    job = await begin(date="2025-11-17")
    await store.finish_run(
        tenant.tenant_id, job.run.pipeline_logging_id, RunOutcome(status=RunStatus.FAILED, error_message="gone"), at=datetime.now(UTC)
    )

    outcome = await execute(job, tools)

    assert outcome.status is RunStatus.FAILED
    assert outcome.error_message == "Step publish: The run was ended or replaced while it worked. Nothing was published."
    assert await daily(tenant) == before


async def test_a_failed_check_of_severity_error_publishes_nothing(tenant: Tenant, tools: Toolbox, begin: Begin, store: Store) -> None:
    """Rows without a cost: the checks say how many, show which, the publish step is skipped, and nothing is published."""
    export(tenant, [row(DAY), row(DAY, cost=None), row(DAY, currency=None)])
    job = await begin(date="2025-11-17")

    outcome = await execute(job, tools)

    assert outcome.status is RunStatus.FAILED
    assert outcome.error_message is not None
    assert "cost_not_null (expected no NULL cost, 1 rows fail)" in outcome.error_message
    assert "currency_not_null" in outcome.error_message
    steps = await store.list_step_logs(tenant.tenant_id, job.run.pipeline_logging_id)
    assert [(step.step_id, step.action) for step in steps][-2:] == [("checks", "STEP_FAILED"), ("publish", "STEP_SKIPPED")]
    assert (steps[-2].metadata["samples"].keys(), steps[-2].metadata["can_heal"]) == ({"cost_not_null", "currency_not_null"}, False)
    verdicts = {one.check_name: one for one in await store.list_dq_results(tenant.tenant_id, job.run.pipeline_logging_id)}
    assert len(verdicts) == 13
    [shown] = verdicts["cost_not_null"].sample_rows
    told = {"service.id": "6F81-5844-456A", "sku.id": "D2E8-1234-5678", "project.id": "shop", "currency": "USD"}
    assert {**shown, "usage_start_time": None} == {"cost": None, "usage_start_time": None, **told}
    assert await daily(tenant) == []


async def test_amounts_that_are_no_numbers_publish_nothing_and_are_named_with_their_row(
    tenant: Tenant, tools: Toolbox, begin: Begin, store: Store
) -> None:
    """Infinities of both signs in one row's credits, NaN of a quantity, an infinite cost; the day stays as it was."""
    export(tenant, [row(DAY)])
    assert (await execute(await begin(date="2025-11-17"), tools)).status is RunStatus.COMPLETED
    before = await daily(tenant)
    both = [{"name": "a", "amount": math.inf}, {"name": "b", "amount": -math.inf}]
    quantity = {"amount": math.nan, "unit": "seconds", "amount_in_pricing_units": 1.0, "pricing_unit": "hour"}
    export(tenant, [row(DAY), row(DAY, hour=3, credits=both), row(DAY, usage=quantity), row(DAY, cost=-math.inf)])
    job = await begin(date="2025-11-17")

    outcome = await execute(job, tools)

    assert outcome.status is RunStatus.FAILED
    assert outcome.error_message is not None
    assert outcome.error_message.startswith("Step checks: Quality checks failed, what they guard was not published: amounts_finite (")
    assert ", 2 rows fail, observed: 1 in cost, 1 in usage.amount); credits_finite (expected no credits.amount " in outcome.error_message
    verdicts = {one.check_name: one for one in await store.list_dq_results(tenant.tenant_id, job.run.pipeline_logging_id)}
    amounts, credits_ = verdicts["amounts_finite"], verdicts["credits_finite"]
    assert (amounts.failing_rows, amounts.observed_value) == (2, "1 in cost, 1 in usage.amount")
    shown_amounts = {tuple(str(float(one[name] or 0)) for name in ("cost", "usage.amount")) for one in amounts.sample_rows}
    assert shown_amounts == {("-inf", "3600.0"), ("1.0", "nan")}
    [shown] = credits_.sample_rows
    assert (credits_.failing_rows, str(shown["credits_total"]).lower(), shown["sku.id"]) == (1, "nan", "D2E8-1234-5678")
    assert str(shown["usage_start_time"]).startswith("2025-11-17 03:00:00")
    assert await daily(tenant) == before


async def test_the_detailed_export_is_taken_before_the_standard_one(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    export(tenant, [row(DAY)] * 3, schema=STANDARD)
    export(tenant, [row(DAY, cost=1.5)] * 2)
    assert (await execute(await begin(date="2025-11-17"), tools)).rows_processed == 2


async def test_export_table_names_the_export(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    export(tenant, [row(DAY)])
    load(tenant.host, f"{tenant.project}.other.my_view_of_it", [row(DAY)] * 4)
    for name in ("other.my_view_of_it", f"{tenant.project}.other.my_view_of_it"):
        assert (await execute(await begin(date="2025-11-17", export_table=name), tools)).rows_processed == 4


UNREADABLE: list[tuple[dict[str, pa.Schema], dict[str, str], str]] = [
    ({}, {}, "No billing export was found in project"),
    ({}, {"export_table": "nowhere.nothing"}, "there is no such table"),
    ({}, {"export_table": "convergence-local.tenants.tenant_api_keys"}, "in a project that is this installation's own"),
    ({}, {"export_table": "convergence-local.tenants.nothing"}, "in a project that is this installation's own"),
    ({"a.prices": pa.schema([("price", pa.float64())])}, {"export_table": "a.prices"}, "it has no columns cost and usage_start_time"),
    ({"a.gcp_billing_export_v1_X": STANDARD, "a.gcp_billing_export_v1_Y": STANDARD}, {}, "Several billing exports were found"),
]
"""What comes into the tenant's project, the parameters of a run then, and what the run says."""


async def test_a_source_that_cannot_be_read_is_reported(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """The tenant reads what to do; nothing of BigQuery's own text reaches it."""
    for tables, parameters, message in UNREADABLE:
        for name, schema in tables.items():
            load(tenant.host, f"{tenant.project}.{name}", [row(DAY)], schema)

        outcome = await execute(await begin(date="2025-11-17", **parameters), tools)

        assert outcome.status is RunStatus.FAILED, message
        assert outcome.error_message is not None
        assert message in outcome.error_message
        assert "http" not in outcome.error_message
