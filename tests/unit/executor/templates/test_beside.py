"""`beside`: included steps that derive from what a publish is going to publish."""

from pathlib import Path

import pytest

from services.executor.steps import STEP_TYPES
from services.executor.steps.bigquery_sql import Sql
from services.executor.templates.catalog import Catalog, load_catalog
from services.executor.templates.name import PipelineName
from services.platform.bigquery.sql import Block
from tests.support.executor.tenant import BILLING

FOCUS = PipelineName(provider="gcp", domain="cost", template="focus")
LINES = "    needs: [extract]\n    beside: publish\n"
NONE = "steps can only work beside a publish of all rows of its days, with `ledger: {source, service}`, and `publish` is none"


def stage(catalog: Catalog, name: PipelineName, step: str) -> Block:
    action = next(one.action for one in catalog.templates[name].steps if one.id == step)
    assert isinstance(action, Sql)
    return action.block


def test_it_reads_the_rows_that_stay_and_those_that_are_staged(catalog: Catalog) -> None:
    """By the publish's own rule and query, wherever the block reads the table. The template by itself reads the table."""
    alone, beside = stage(catalog, FOCUS, "stage"), stage(catalog, BILLING, "focus_stage")
    assert "x_staging_gcp_billing" not in alone.sql
    reads = alone.sql.count("FROM billing_cost_daily AS b")
    assert reads == beside.sql.count("FROM x_staging_gcp_billing AS s") == beside.sql.count("r.since IS NOT NULL") == 3
    assert "FROM billing_cost_daily AS b" not in beside.sql
    assert "FROM x_meta_cost_days" not in beside.sql
    assert beside.params.keys() - alone.params.keys() == {"day_reads"}


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        ("beside: publish", "beside: nothing", "nothing", "there is no step `nothing` before this one"),
        ("beside: publish", "beside: focus_publish", "focus_publish", "there is no step `focus_publish` before this one"),
        ("beside: publish", "beside: checks", "checks", "`checks` is no step of type bigquery.publish"),
        ("beside: publish", "beside: [publish]", "[publish]", "beside must be a single value"),
        (LINES, LINES.replace("extract", "publish"), "publish", "steps beside `publish` begin before it has ended, and so do not need it"),
        ("net_cost: net_cost\n", "net_cost: net_cost\n    only: {column: source_table, value: a}\n", "publish", NONE),
    ],
)
def test_a_wrong_one_is_named_where_it_stands(configs: Path, old: str, new: str, at: str, message: str) -> None:
    text = (configs / "gcp/cost/billing.yml").read_text()
    assert old in text
    text = text.replace(old, new, 1)
    (configs / "gcp/cost/broken.yml").write_text(text)
    [fault] = load_catalog(configs, STEP_TYPES).broken["gcp/cost/broken.yml"].faults
    assert fault.message == message
    line = text.splitlines()[fault.line - 1]
    assert line.lstrip().startswith("beside:")
    assert line[fault.column - 1 :] == at


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("billing.yml", LINES, "    beside: publish\n", "block focus_stage declares @day_reads"),
        ("focus.sql", "FROM billing_cost_daily AS b", "FROM billing_cost_daily", "can only name it in `FROM billing_cost_daily AS alias`"),
    ],
)
def test_steps_that_cannot_work_beside_it_are_named_in_their_own_file(configs: Path, file: str, old: str, new: str, message: str) -> None:
    path = configs / "gcp/cost" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    [fault] = load_catalog(configs, STEP_TYPES).broken["gcp/cost/billing.yml"].faults
    assert fault.source == "gcp/cost/focus.yml"
    assert message in fault.message


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("derived_from: nothing", "derived_from is `nothing`, but must be one of"),
        ("derived_from: x_meta_invoices", "`derived_from` needs a column usage_date of type DATE in x_meta_invoices"),
        ("derived_from: billing_cost_daily, months: true", "`derived_from` and `months` exclude each other"),
    ],
)
def test_what_it_is_derived_from_must_say_whose_rows_it_has(configs: Path, new: str, message: str) -> None:
    path = configs / "gcp/cost/focus.yml"
    path.write_text(path.read_text().replace("derived_from: billing_cost_daily", new, 1))
    assert message in str(load_catalog(configs, STEP_TYPES).broken["gcp/cost/focus.yml"])
