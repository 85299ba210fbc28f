"""Steps beside a publish: how a run ends of which a part fails, and whether FOCUS is the same beside billing's publish as after it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from services.executor.errors import StepError
from services.executor.records import RunOutcome, RunStatus
from services.executor.runs.execute import execute
from services.executor.store import Store
from services.executor.templates.name import PipelineName
from services.executor.templates.step import Step, StepContext, StepResult, Toolbox
from tests.integration.executor.runs.test_life import DATE, Begin
from tests.integration.executor.steps.test_steps import Scripted, Steps, nothing, statuses
from tests.support.executor.awkward_costs import awkward
from tests.support.executor.billing_export import ACCOUNT, load
from tests.support.executor.tenant import Tenant

FOCUS = PipelineName(provider="gcp", domain="cost", template="focus")
DAY = date(2025, 11, 17)

type Both = tuple[StepResult, StepResult | StepError | None]


class Beside(Steps):
    """extract -> checks -> publish, and beside it stage -> conformance, then both -> derived."""

    def beside(self, *identities: str) -> None:
        self.made = [replace(one, beside="publish") if one.id in identities else one for one in self.made]


@dataclass(frozen=True, kw_only=True)
class Joined(Scripted):
    """A step that does the publish along with its own work, as far as the test says."""

    both: Callable[[StepContext, StepContext], Awaitable[Both]]

    def joined(self, first: Step) -> "Joined":
        return self

    async def run_both(self, first: StepContext, own: StepContext) -> Both:
        return await self.both(first, own)


async def endless(_: StepContext) -> StepResult:
    await asyncio.Event().wait()
    raise AssertionError


def after_a_failed_conformance(published: Callable[[], StepResult]) -> Beside:
    """Steps of which the conformance fails for good; only then the publish beside it ends, as `published` says."""
    failed, steps = asyncio.Event(), Beside()

    async def conformance(_: StepContext) -> StepResult:
        failed.set()
        raise StepError("a charge has no currency")

    async def publish(_: StepContext) -> StepResult:
        await failed.wait()
        return published()

    steps.add("publish", publish)
    steps.add("conformance", conformance)
    steps.add("derived", nothing, "conformance", "publish")
    steps.beside("conformance")
    return steps


async def test_failed_checks_do_not_wait_for_what_is_beside_their_publish(tools: Toolbox, begin: Begin, store: Store) -> None:
    working, steps = asyncio.Event(), Beside()

    async def stage(context: StepContext) -> StepResult:
        working.set()
        return await endless(context)

    async def checks(_: StepContext) -> StepResult:
        await working.wait()
        raise StepError("a cost is NULL")

    steps.add("checks", checks)
    steps.add("publish", nothing, "checks")
    steps.add("stage", stage)
    steps.add("conformance", nothing, "stage")
    steps.add("derived", nothing, "conformance", "publish")
    steps.add("other", nothing)
    steps.beside("stage", "conformance")
    job = steps.job(await begin(**DATE))
    async with asyncio.timeout(30):
        outcome = await execute(job, tools)

    assert (outcome.status, outcome.error_message, outcome.is_final) == (RunStatus.FAILED, "Step checks: a cost is NULL", True)
    skipped = dict.fromkeys(("publish", "stage", "conformance", "derived"), "SKIPPED")
    assert await statuses(store, job) == {"checks": "FAILED", **skipped, "other": "COMPLETED"}
    lines = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
    [stopped] = [line.error_message for line in lines if line.step_id == "stage" and line.status == "SKIPPED"]
    assert stopped == "Stopped, for the step publish did not succeed."


async def test_what_fails_beside_a_publish_neither_stops_it_nor_names_the_run(tools: Toolbox, begin: Begin, store: Store) -> None:
    """The conformance fails for good before the publish fails for now: the run is the publish's failure, which another attempt may heal."""

    def busy() -> StepResult:
        raise StepError("BigQuery is busy", is_retryable=True)

    job = after_a_failed_conformance(busy).job(await begin(**DATE))
    async with asyncio.timeout(30):
        outcome = await execute(job, tools)

    assert (outcome.error_message, outcome.is_final) == ("Step publish: BigQuery is busy", False)
    assert await statuses(store, job) == {"publish": "FAILED", "conformance": "FAILED", "derived": "SKIPPED"}


async def test_billing_is_published_also_if_what_is_beside_it_fails(tools: Toolbox, begin: Begin, store: Store) -> None:
    job = after_a_failed_conformance(lambda: StepResult(rows_processed=5)).job(await begin(**DATE))
    async with asyncio.timeout(30):
        outcome = await execute(job, tools)

    assert (outcome.error_message, outcome.is_final) == ("Step conformance: a charge has no currency", True)
    assert await statuses(store, job) == {"publish": "COMPLETED", "conformance": "FAILED", "derived": "SKIPPED"}


def with_a_joint_publish(is_done: Callable[[], bool], *, fails: bool = False) -> tuple[Beside, list[str]]:
    """Conformance and checks -> publish, along with it derived -> invoices; and what was done, in order."""
    done, steps = list[str](), Beside()

    async def conformance(_: StepContext) -> StepResult:
        done.append("conformance")
        if fails:
            raise StepError("a charge has no currency")
        return StepResult(outputs={"rows": 3})

    async def publish(_: StepContext) -> StepResult:
        done.append("publish")
        return StepResult(rows_processed=5)

    async def derived(_: StepContext) -> StepResult:
        done.append("derived")
        return StepResult(rows_processed=3)

    async def both(first: StepContext, own: StepContext) -> tuple[StepResult, StepResult | None]:
        assert (dict(first.outputs), dict(own.outputs), first.last) == ({}, {"rows": 3}, None)
        done.append("both")
        return StepResult(rows_processed=5), StepResult(rows_processed=3) if is_done() else None

    steps.add("publish", publish)
    steps.add("conformance", conformance)
    steps.add("derived", derived, "conformance", "publish")
    steps.beside("conformance")
    steps.made[-1] = replace(steps.made[-1], joins="publish", action=Joined(does=derived, both=both))
    steps.add("invoices", nothing, "derived")
    return steps, done


async def test_what_joins_a_publish_is_done_along_with_it(tools: Toolbox, begin: Begin, store: Store) -> None:
    steps, done = with_a_joint_publish(lambda: True)
    job = steps.job(await begin(**DATE))
    async with asyncio.timeout(30):
        outcome = await execute(job, tools)

    assert (outcome.status, outcome.error_message, done) == (RunStatus.COMPLETED, None, ["conformance", "both"])
    lines = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
    found = [(line.step_id, line.status, line.rows_processed) for line in lines if line.step_id in {"publish", "derived"}]
    assert found == [("publish", "RUNNING", None), ("publish", "COMPLETED", 5), ("derived", "RUNNING", None), ("derived", "COMPLETED", 3)]
    assert (await statuses(store, job))["invoices"] == "COMPLETED"


async def test_checks_that_are_done_along_with_what_they_check_fail_by_themselves(tools: Toolbox, begin: Begin, store: Store) -> None:
    """The step before has done its work, and its staging table is dropped; the run fails for good as the checks do."""
    steps = Steps()

    async def both(first: StepContext, own: StepContext) -> Both:
        assert (first.step_id, own.step_id, first.last) == ("stage", "conformance", None)
        return StepResult(rows_processed=5), StepError("a charge has no currency", metadata={"samples": {}})

    steps.add("stage", nothing)
    steps.add("conformance", nothing, "stage")
    steps.made[-1] = replace(steps.made[-1], joins="stage", action=Joined(does=nothing, both=both))
    steps.add("publish", nothing, "conformance")
    job = steps.job(await begin(**DATE))
    async with asyncio.timeout(30):
        outcome = await execute(job, tools)

    assert (outcome.error_message, outcome.is_final) == ("Step conformance: a charge has no currency", True)
    assert await statuses(store, job) == {"stage": "COMPLETED", "conformance": "FAILED", "publish": "SKIPPED"}
    lines = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
    [failed] = [line for line in lines if line.status == "FAILED"]
    assert (failed.error_message, failed.metadata) == ("a charge has no currency", {"samples": {}, "can_heal": False})


async def test_what_cannot_join_a_publish_follows_it(tools: Toolbox, begin: Begin, store: Store) -> None:
    steps, done = with_a_joint_publish(lambda: False)
    async with asyncio.timeout(30):
        outcome = await execute(steps.job(await begin(**DATE)), tools)

    assert (outcome.status, done) == (RunStatus.COMPLETED, ["conformance", "both", "derived"])


async def test_a_publish_goes_alone_if_what_would_join_it_has_failed(tools: Toolbox, begin: Begin, store: Store) -> None:
    steps, done = with_a_joint_publish(lambda: True, fails=True)
    job = steps.job(await begin(**DATE))
    async with asyncio.timeout(30):
        outcome = await execute(job, tools)

    assert (outcome.error_message, done) == ("Step conformance: a charge has no currency", ["conformance", "publish"])
    failed = {"conformance": "FAILED", "derived": "SKIPPED", "invoices": "SKIPPED"}
    assert await statuses(store, job) == {"publish": "COMPLETED", **failed}


async def test_billing_is_published_if_focus_alone_would_lose_too_much(
    tenant: Tenant, tools: Toolbox, begin_whole: Begin, store: Store
) -> None:
    """Of both in one transaction none is published then; billing is published by another, and FOCUS says why it is not."""
    load(tenant.host, f"{tenant.project}.costs.gcp_billing_export_resource_v1_{ACCOUNT}", awkward(DAY, 40, 5))
    job = await begin_whole(date=str(DAY))
    assert (await execute(job, tools)).status is RunStatus.COMPLETED
    await store.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, RunOutcome(status=RunStatus.COMPLETED), at=datetime.now(UTC))
    many = ", ".join(["SELECT * FROM focus_cost_daily"] * 2).replace(", ", " UNION ALL ")
    await tenant.rows(f"INSERT INTO focus_cost_daily {many}")
    job = await begin_whole(date=str(DAY))
    outcome = await execute(job, tools)

    assert outcome.status is RunStatus.FAILED
    assert (outcome.error_message or "").startswith("Step focus_publish: Nothing was published, for a day would lose more than half")
    published = await tenant.rows("SELECT DISTINCT pipeline_logging_id FROM billing_cost_daily")
    assert [row["pipeline_logging_id"] for row in published] == [job.run.pipeline_logging_id]


async def test_focus_is_the_same_beside_the_publish_as_after_it(
    tenant: Tenant, tools: Toolbox, begin: Begin, begin_whole: Begin, store: Store
) -> None:
    load(tenant.host, f"{tenant.project}.costs.gcp_billing_export_resource_v1_{ACCOUNT}", awkward(DAY, 120, 5))
    job = await begin_whole(date=str(DAY))
    outcome = await execute(job, tools)
    assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
    await store.finish_run(tenant.tenant_id, job.run.pipeline_logging_id, outcome, at=datetime.now(UTC))
    beside = await focus_rows(tenant)
    outcome = await execute(await begin(FOCUS, date=str(DAY)), tools)
    assert (outcome.status, outcome.rows_processed) == (RunStatus.COMPLETED, len(beside))
    assert await focus_rows(tenant) == beside


async def focus_rows(tenant: Tenant) -> list[str]:
    """All columns but those that differ by run."""
    rows = await tenant.rows("SELECT * FROM focus_cost_daily")
    assert rows
    return sorted(str({name: value for name, value in row.items() if name not in {"x_LoadedAt", "x_PipelineLoggingId"}}) for row in rows)
