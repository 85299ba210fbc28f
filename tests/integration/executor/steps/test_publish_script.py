"""How a publish is composed, and what cannot be composed."""

from dataclasses import replace
from pathlib import Path

from services.executor.records import RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.steps import STEP_TYPES
from services.executor.steps.bigquery_publish import Publish
from services.executor.steps.publish_script import publish_scripts
from services.executor.templates.catalog import load_catalog
from services.executor.templates.step import Toolbox
from services.platform.bigquery.sql import Block, load_blocks, make_block
from services.platform.settings import REPOSITORY
from tests.integration.executor.steps.test_billing import DAY, NEXT, Begin, daily, export
from tests.support.executor.billing_export import many, row
from tests.support.executor.tenant import Tenant

STEP = """\
    timeout_seconds: 900
    sql: billing.sql#billing_rows
    table: billing_cost_daily
    day: usage_date
    currency: currency
    cost: cost
    net_cost: net_cost
"""


REFUSED = [
    ("    day: usage_date\n", "", "a step needs `day`"),
    ("day: usage_date", "day: currency", "`currency` is no column of type DATE of billing_cost_daily"),
    ("cost: cost", "cost: labels", "`labels` is no column of type FLOAT64 or NUMERIC of billing_cost_daily"),
    ("currency: currency", "currency: nothing", "`nothing` is no column of type STRING of billing_cost_daily"),
    ("    sql: billing.sql#billing_rows\n", "", "needs either `sql`, a query for the rows, or `staging`"),
    ("    day:", "    staging: x_staging_gcp_billing\n    day:", "needs either `sql`, a query for the rows, or `staging`"),
    ("sql: billing.sql#billing_rows", "staging: x_staging_gcp_billing", "x_staging_gcp_billing has no column usage_date"),
    ("#billing_rows", "#by_hand", "the block by_hand must be one SELECT: the step itself makes the transaction around it"),
    ("#billing_rows", "#two", "the block two must be one SELECT"),
]
"""What stands in the step, what in its place cannot be composed, and what is said of it."""


def test_what_cannot_be_composed_is_refused_by_file_and_line(configs: Path) -> None:
    """A script of the template's own is one of these: it could publish without the fence."""
    with (configs / "gcp/cost/billing.sql").open("a") as sql:
        sql.write("\n-- name: by_hand\nINSERT INTO billing_cost_daily (usage_date) SELECT DATE '2025-01-01'\n")
        sql.write("\n-- name: two\nSELECT 1; DELETE FROM billing_cost_daily WHERE TRUE\n")
    text = (configs / "gcp/cost/billing.yml").read_text()
    assert STEP in text
    for number, (old, new, _) in enumerate(REFUSED):
        (configs / f"gcp/cost/own_{number}.yml").write_text(text.replace(STEP, STEP.replace(old, new, 1)))

    broken = load_catalog(configs, STEP_TYPES).broken

    for number, (_, new, message) in enumerate(REFUSED):
        error = str(broken[f"gcp/cost/own_{number}.yml"])
        assert error.startswith(f"gcp/cost/own_{number}.yml:"), new
        assert message in error, new


def test_a_template_that_publishes_declares_by_what_a_caller_accepts_less(configs: Path) -> None:
    text = (configs / "gcp/cost/billing.yml").read_text().partition("  # FOCUS never lags")[0]
    (configs / "gcp/cost/own.yml").write_text(text.replace("  accept_less:", "  accept_some:"))

    message = "the template must declare that parameter, of type boolean"
    assert message in str(load_catalog(configs, STEP_TYPES).broken["gcp/cost/own.yml"])


def published_by(job: PreparedRun, rows: Block) -> PreparedRun:
    """The job, with other rows to publish."""
    *others, last = job.template.steps
    assert isinstance(last.action, Publish)
    action = replace(last.action, scripts=publish_scripts(last.action.replacement, rows))
    return replace(job, template=replace(job.template, steps=(*others, replace(last, action=action))))


async def test_a_row_outside_the_days_ends_the_step_and_changes_nothing(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """It would stay when the day is replaced, and stand there twice."""
    export(tenant, [*many(DAY, 5), row(NEXT)])
    assert (await execute(await begin(date="2025-11-17"), tools)).status is RunStatus.COMPLETED
    before, job = await daily(tenant), await begin(date="2025-11-17")
    good = load_blocks(REPOSITORY / "configs/gcp/cost/billing.sql")["billing_rows"]
    moved = make_block(
        "moved", good.sql.replace("DATE(s.usage_start_time) AS", "DATE_ADD(DATE(s.usage_start_time), INTERVAL 1 DAY) AS"), good.params
    )

    outcome = await execute(published_by(job, moved), tools)

    assert outcome.error_message == (
        "Step publish: Nothing was published, for a row for billing_cost_daily lies outside the days or the provider of this run. "
        "Correct the template's query."
    )
    assert await daily(tenant) == before
