"""The FinOps Foundation's own validator judges what gcp/cost/focus publishes."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.store import Store
from services.executor.templates.name import PipelineName
from services.executor.templates.step import Toolbox
from services.platform.bigquery.ddl import load_tables
from services.platform.settings import REPOSITORY
from tests.integration.focus.accepted import ACCEPTED
from tests.integration.focus.validator import broken_rules, write_parquet
from tests.support.executor.awkward_costs import awkward
from tests.support.executor.billing_export import ACCOUNT, load
from tests.support.executor.focus_cases import CHARGES, DETAILS, EVERYTHING
from tests.support.executor.focus_examples import example_rows
from tests.support.executor.focus_source import DAY, insert, source_row
from tests.support.executor.tenant import Tenant

FOCUS = PipelineName(provider="gcp", domain="cost", template="focus")
COLUMNS = load_tables(REPOSITORY / "configs" / "bigquery" / "tenant")["focus_cost_daily"].columns
MIN_RULES = 300
"""That hold: a validator that has not looked would find nothing wrong."""


async def test_nothing_is_broken_but_what_is_accepted(
    tenant: Tenant, tools: Toolbox, store: Store, begin: Callable[..., Awaitable[PreparedRun]], tmp_path: Path
) -> None:
    """Awkward rows through the whole pipeline, a row of every kind, commitments with their usage.

    A rule that is accepted and no longer broken must go, too.
    """
    load(tenant.host, f"{tenant.project}.costs.gcp_billing_export_resource_v1_{ACCOUNT}", awkward(DAY, 200, 3))
    job = await begin(date=DAY.isoformat())
    assert (await execute(job, tools)).status is RunStatus.COMPLETED
    await store.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, RunOutcome(status=RunStatus.COMPLETED), at=datetime.now(UTC))
    kinds = [changes for changes, _ in [*CHARGES.values(), *DETAILS.values()]]
    await insert(tenant, [source_row(DAY, **changes) for changes in [*kinds, EVERYTHING]])
    examples = example_rows()
    await insert(tenant, examples)
    outcome = await execute(await begin(FOCUS, date=DAY.isoformat()), tools)
    assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)

    text = ", ".join(f"TO_JSON_STRING({name}) AS {name}" if kind == "JSON" else name for name, kind in COLUMNS.items())
    rows = await tenant.rows(f"SELECT {text} FROM focus_cost_daily")
    for row in rows:
        row |= {name: None for name, kind in COLUMNS.items() if kind == "JSON" and row[name] == "null"}
    write_parquet(rows, COLUMNS, tmp_path / "focus.parquet")
    broken, held = broken_rules(tmp_path / "focus.parquet", tmp_path / "report.xml")

    assert held >= MIN_RULES
    assert {rule: said for rule, said in broken.items() if rule not in ACCEPTED} == {}, "new: mend it, or accept it with a reason"
    assert set(ACCEPTED) - set(broken) == set(), "accepted, and no longer broken: take it off the list"


def test_every_accepted_rule_has_its_reason_in_the_docs() -> None:
    docs = (REPOSITORY / "docs" / "focus.md").read_text()
    assert [rule for rule in ACCEPTED if f"`{rule}`" not in docs] == []
