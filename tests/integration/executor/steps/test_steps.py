"""How the steps of a run go together: what is independent at once, what fails, what comes after a stop.

Steps are the tests' own, their statuses and their jobs are the emulator's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest
from google.cloud.bigquery import QueryJob

from services.executor.errors import StepError
from services.executor.records import RunStatus
from services.executor.runs.execute import execute
from services.executor.runs.prepared import PreparedRun
from services.executor.store import Store
from services.executor.templates.graph import When, ancestors
from services.executor.templates.step import StepContext, StepResult, Toolbox
from services.executor.templates.step_reader import TemplateStep
from services.platform.bigquery.sql import make_block
from tests.integration.executor.runs.test_life import DATE, Begin
from tests.support.executor.tenant import Tenant

SLOW = make_block(
    "slow", "SELECT SUM(MOD(a * b, 7)) AS n FROM UNNEST(GENERATE_ARRAY(1, 300000)) AS a, UNNEST(GENERATE_ARRAY(1, 300000)) AS b", {}
)
type Does = Callable[[StepContext], Awaitable[StepResult]]


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """A step that does what the test says."""

    OUTPUTS: ClassVar[Mapping[str, str]] = {}
    does: Does

    async def run(self, context: StepContext) -> StepResult:
        return await self.does(context)


@dataclass(kw_only=True)
class Steps:
    """Steps of a template, in the file's order."""

    made: list[TemplateStep] = field(default_factory=list)

    def add(self, identity: str, does: Does, *needs: str, when: When = When.ON_SUCCESS, timeout_seconds: int = 60) -> None:
        known = {step.id: step.needs for step in self.made} | {identity: needs}
        step = TemplateStep(
            id=identity,
            type="test",
            index=len(self.made),
            needs=needs,
            ancestors=ancestors(identity, known),
            when=when,
            attempts=1,
            timeout_seconds=timeout_seconds,
            action=Scripted(does=does),
        )
        self.made.append(step)

    def job(self, job: PreparedRun) -> PreparedRun:
        return replace(job, template=replace(job.template, steps=tuple(self.made)))


async def nothing(_: StepContext) -> StepResult:
    return StepResult()


async def statuses(store: Store, job: PreparedRun) -> dict[str, str]:
    """How each step ended."""
    lines = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
    return {line.step_id: line.status for line in lines if line.status != "RUNNING"}


async def test_no_step_waits_for_lines_and_all_are_in_the_table_at_the_end(
    tools: Toolbox, begin: Begin, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table takes none before the last step works. What has gathered is one call."""
    steps, works, calls, append = Steps(), asyncio.Event(), list[int](), store.lines._step_logs.append

    async def held(dataset: str, rows: Sequence[Mapping[str, Any]]) -> None:
        await works.wait()
        calls.append(len(rows))
        await append(dataset, rows)

    async def work(_: StepContext) -> StepResult:
        works.set()
        return StepResult()

    monkeypatch.setattr(store.lines._step_logs, "append", held)
    steps.add("a", nothing)
    steps.add("b", nothing, "a")
    steps.add("c", work, "b")
    job = steps.job(await begin(**DATE))
    await execute(job, tools)
    lines = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
    assert [(line.step_id, line.status) for line in lines] == [(step, status) for step in "abc" for status in ("RUNNING", "COMPLETED")]
    assert (sum(calls), len(calls) <= 2) == (6, True)


async def test_independent_steps_work_at_once_and_what_they_tell_has_an_order(tools: Toolbox, begin: Begin, store: Store) -> None:
    """`slow` and `fast` wait for each other; `fast` ends first, `slow` stands first. Who needs one sees nothing of the other."""
    meeting, fast_ended, seen, steps = asyncio.Barrier(2), asyncio.Event(), dict[str, list[str]](), Steps()

    async def slow(_: StepContext) -> StepResult:
        await meeting.wait()
        await fast_ended.wait()
        return StepResult(rows_processed=1, outputs={"slow": 1})

    async def fast(_: StepContext) -> StepResult:
        await meeting.wait()
        fast_ended.set()
        return StepResult(rows_processed=2, outputs={"fast": 2})

    async def look(context: StepContext) -> StepResult:
        seen[context.step_id] = list(context.outputs)
        return StepResult()

    steps.add("slow", slow)
    steps.add("fast", fast)
    steps.add("both", look, "fast", "slow")
    steps.add("one", look, "fast")
    async with asyncio.timeout(30):
        outcome = await execute(steps.job(await begin(**DATE)), tools)

    assert (outcome.status, outcome.rows_processed) == (RunStatus.COMPLETED, 2)
    assert seen == {"both": ["slow", "fast"], "one": ["fast"]}


async def test_the_first_failure_in_the_templates_order_is_the_runs(tools: Toolbox, begin: Begin, store: Store) -> None:
    """`b` fails before `a`; steps that need them are skipped, others go on; the final steps come last, and their failure does not count."""
    b_failed, steps = asyncio.Event(), Steps()

    async def a(_: StepContext) -> StepResult:
        await b_failed.wait()
        raise StepError("a is broken", is_retryable=True)

    async def b(_: StepContext) -> StepResult:
        b_failed.set()
        raise StepError("b is broken")

    async def last(_: StepContext) -> StepResult:
        raise StepError("the final step is broken")

    steps.add("tell", last, when=When.ON_FAILURE)
    steps.add("a", a)
    steps.add("b", b)
    steps.add("after_a", nothing, "a")
    steps.add("other", nothing)
    steps.add("clean", nothing, when=When.ALWAYS)
    job = steps.job(await begin(**DATE))
    outcome = await execute(job, tools)

    assert (outcome.status, outcome.error_message) == (RunStatus.FAILED, "Step a: a is broken")
    assert await statuses(store, job) == {
        "tell": "FAILED",
        "a": "FAILED",
        "b": "FAILED",
        "after_a": "SKIPPED",
        "other": "COMPLETED",
        "clean": "COMPLETED",
    }
    lines = await store.list_step_logs(job.run.tenant_id, job.run.pipeline_logging_id)
    free = {"cost": {"bytes_billed": 0, "slot_ms": 0, "bytes_read": 0, "cost_usd": 0.0}}
    assert {line.step_id: line.metadata for line in lines if line.status == "FAILED"} == {
        "tell": free,
        "a": {"can_heal": True, **free},
        "b": {"can_heal": False, **free},
    }


async def test_a_stopped_run_has_its_final_steps(tools: Toolbox, begin: Begin, store: Store) -> None:
    """Stopped while it works, as a cancel and the run's own deadline do: its step ends, then `on_failure` and `always` run."""
    working, steps = asyncio.Event(), Steps()

    async def work(_: StepContext) -> StepResult:
        working.set()
        await asyncio.Event().wait()
        return StepResult()

    steps.add("work", work)
    steps.add("after", nothing, "work")
    steps.add("tell", nothing, "work", when=When.ON_FAILURE)
    steps.add("clean", nothing, "tell", when=When.ALWAYS)
    job = steps.job(await begin(**DATE))
    task = asyncio.create_task(execute(job, tools))
    await working.wait()
    task.cancel()
    await asyncio.wait([task], timeout=30)

    assert task.cancelled()
    assert await statuses(store, job) == {"work": "FAILED", "tell": "COMPLETED", "clean": "COMPLETED"}


async def test_a_steps_job_is_stopped_at_bigquery_with_the_step(tenant: Tenant, tools: Toolbox, begin: Begin) -> None:
    """A query that would take hours, and a step that has two seconds: BigQuery says that somebody cancelled it."""
    steps = Steps()

    async def query(context: StepContext) -> StepResult:
        await context.query(SLOW)
        return StepResult()

    steps.add("query", query, timeout_seconds=2)
    outcome = await execute(steps.job(await begin(**DATE)), tools)

    assert outcome.error_message == "Step query: It took longer than 2 s and was stopped."
    [mine] = [job for job in tenant.bq.client.list_jobs() if job.job_id.startswith("slow_")]
    assert isinstance(mine, QueryJob)
    async with asyncio.timeout(20):
        while mine.state != "DONE":
            await asyncio.sleep(0.05)
            await tenant.bq.call("reload", lambda _: mine.reload())
    assert mine.error_result
    assert mine.error_result["reason"] == "stopped"
