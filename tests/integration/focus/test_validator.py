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
from services.platform.settings import REPOSITORY
from tests.integration.focus.accepted import ACCEPTED, ACCEPTED_AWS, ACCEPTED_AZURE
from tests.integration.focus.published import broken_by_published
from tests.support.executor.awkward_costs import awkward
from tests.support.executor.billing_export import ACCOUNT, load
from tests.support.executor.focus_cases import CHARGES, DETAILS, EVERYTHING
from tests.support.executor.focus_examples import example_rows
from tests.support.executor.focus_source import DAY, insert, source_row
from tests.support.executor.tenant import Tenant

FOCUS = PipelineName(provider="gcp", domain="cost", template="focus")


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

    broken = await broken_by_published(tenant, tmp_path)
    assert {rule: said for rule, said in broken.items() if rule not in ACCEPTED} == {}, "new: mend it, or accept it with a reason"
    assert set(ACCEPTED) - set(broken) == set(), "accepted, and no longer broken: take it off the list"


def test_every_accepted_rule_has_its_reason_in_the_docs() -> None:
    docs = (REPOSITORY / "docs" / "focus.md").read_text()
    assert [rule for accepted in (ACCEPTED, ACCEPTED_AWS, ACCEPTED_AZURE) for rule in accepted if f"`{rule}`" not in docs] == []
