"""Ends runs, and writes what ended runs have cost. A run ends once: each statement here is a compare-and-set on its row."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from services.executor.all_runs.tenant_run import RecordRun, TenantRun
from services.executor.keyed_locks import KeyedLocks
from services.executor.led_runs import LedRuns
from services.executor.records import RunCost, RunOutcome, RunStatus
from services.executor.tenant_queries import RUNS, TenantQueries
from services.platform.bigquery.sql import Block
from services.platform.group_commit import GroupCommits

FENCES = "x_meta_publish_fences"
COSTS = tuple(field.name for field in fields(RunCost))


@dataclass(frozen=True, kw_only=True, slots=True)
class _EndedRun:
    pipeline_logging_id: str
    cost: RunCost


class RunEnds:
    """The ends of tenants' runs. All methods raise Unavailable if BigQuery does not answer; the statement may have run all the same."""

    def __init__(self, tenants: TenantQueries, sql: Mapping[str, Block], led_runs: LedRuns, record: RecordRun) -> None:
        """`record` learns of all runs that are ended here."""
        self._tenants, self._sql, self._led_runs, self._record = tenants, sql, led_runs, record
        self._quiet = KeyedLocks()
        self._costs: GroupCommits[str, _EndedRun, None] = GroupCommits(self._write_costs, before_flush=self._is_quiet)

    def quiet(self, tenant_id: str) -> asyncio.Lock:
        """Held while a publish ends its run: BigQuery cancels the transaction if another statement changes x_meta_pipeline_runs meanwhile.
        This process writes no costs of the tenant then, and ends no other run by a publish.
        """
        return self._quiet.of(tenant_id, RUNS)

    async def finish(self, tenant_id: str, run: str, outcome: RunOutcome, *, at: datetime) -> RunStatus | None:
        """Ends a RUNNING run and returns its status afterwards: that of `outcome`, or the one it had ended with before; None if there is no
        such run. After a lost reply the first try may have ended it, so the status is read back, never assumed. Unless it is COMPLETED, the
        run publishes nothing from then on. Its cost, if `outcome` has one, is also added to a row that had ended without. Raises
        bigquery.NotFound if the tenant has no dataset.
        """
        cost = asdict(outcome.cost) if outcome.cost else dict.fromkeys(COSTS)
        ending = {"pipeline_logging_id": run, "completed_at": at, **cost}
        if outcome.status is RunStatus.COMPLETED:
            params = ending | {"rows_processed": outcome.rows_processed}
            if (await self._tenants.run(self._sql["complete_run"], params, tenant_id)).affected:
                self.note_completed(tenant_id, run, outcome, at=at)
                return outcome.status
            # It has ended: by the first try of a lost reply, or by another process, which did not know the cost.
        params = ending | {"status": outcome.status, "error_message": outcome.error_message, "is_final": outcome.is_final}
        await self._tenants.ensure(tenant_id, FENCES)
        row = (await self._tenants.run(self._sql["end_run"], params, tenant_id)).only_row
        if row["status"] is None:
            return None
        self._record(TenantRun.from_row(tenant_id, row))
        self._led_runs.note_row(tenant_id, row, outcome, at)
        return RunStatus(row["status"])

    def note_completed(self, tenant_id: str, run: str, outcome: RunOutcome, *, at: datetime) -> None:
        """The run, which this process executes, was completed, by `finish` or by its publish."""
        if led := self._led_runs.find(tenant_id, run):
            self._record(TenantRun.of(led.run).ended(outcome, at))
            self._led_runs.note_end(tenant_id, run, led.run.ended(outcome, at))

    async def add_cost(self, tenant_id: str, run: str, cost: RunCost) -> None:
        """Writes what a run has cost that its publish has completed. Runs of a tenant that end together share a statement."""
        await self._costs.submit(tenant_id, _EndedRun(pipeline_logging_id=run, cost=cost))

    async def _write_costs(self, tenant_id: str, runs: Sequence[_EndedRun]) -> Sequence[Exception | None]:
        # An UPDATE accepts one source row a target row.
        costs = {one.pipeline_logging_id: {"pipeline_logging_id": one.pipeline_logging_id, **asdict(one.cost)} for one in runs}
        async with self.quiet(tenant_id):
            await self._tenants.run(self._sql["add_run_costs"], {"costs": list(costs.values())}, tenant_id)
        return [None] * len(runs)

    async def _is_quiet(self, tenant_id: str) -> None:
        """Waits for publishes; the costs of runs that end meanwhile join the batch."""
        async with self.quiet(tenant_id):
            pass
