"""Reads and writes tenants' datasets. The only caller of queries.sql."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from services.executor.all_runs.tenant_run import RecordRun, TenantRun, unrecorded
from services.executor.led_runs import LedRuns
from services.executor.ledger.store import LedgerStore
from services.executor.records import (
    ClaimResult,
    DqResult,
    Period,
    Run,
    RunEnd,
    RunFilter,
    RunOutcome,
    RunState,
    RunStatus,
    StepLog,
)
from services.executor.run_ends import RunEnds
from services.executor.run_lines import RunLines
from services.executor.tenant_queries import TenantQueries
from services.platform.background import note_end
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import load_blocks
from services.platform.errors import NotFound, Unavailable
from services.platform.group_commit import GroupCommits

MIN_SECONDS = 1.0
"""The least time left in which writing a run's row is still tried."""
ID_LENGTH = 128
"""Longer texts are no run ids and are not put into a query."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Beginning:
    """A run's row to be written."""

    run: Run
    deadline: float
    """Monotonic seconds."""


class Store:
    """One typed method a statement. All raise Unavailable if BigQuery does not answer; the statement may have run nevertheless."""

    def __init__(self, bq: BigQuery, *, ddl: Path, record: RecordRun = unrecorded) -> None:
        """`ddl`: the folder with the DDL of tenants' tables. `record` learns of runs that begin here, and of all that are ended here."""
        self._bq, self._record = bq, record
        self.led_runs = LedRuns()  # gets every line that is written, too
        self._sql = load_blocks(Path(__file__).with_name("queries.sql"))
        self._tenants = TenantQueries(bq, ddl=ddl)
        self.ledger = LedgerStore(self._tenants)
        self.ends = RunEnds(self._tenants, self._sql, self.led_runs, record)
        logs, results = self._sql["insert_step_logs"], self._sql["insert_dq_results"]
        self.lines = RunLines(bq, self._tenants, self.led_runs, step_logs=logs, dq_results=results)
        self._beginnings: GroupCommits[str, _Beginning, None] = GroupCommits(self._insert_runs)
        self._claims: GroupCommits[str, _Beginning, ClaimResult] = GroupCommits(self._claim_runs)
        self._states: GroupCommits[str, str, RunState | None] = GroupCommits(self._states_of)

    @property
    def statement_deadline_seconds(self) -> float:
        """Deadline in seconds of a short statement, retries included."""
        return self._bq.statement_deadline_seconds

    async def insert_run(self, run: Run, *, seconds: float) -> None:
        """Writes the run's row, once, within `seconds`. Concurrent rows of a tenant share a statement. Raises bigquery.NotFound if the
        tenant has no dataset.
        """
        await self._beginnings.submit(run.tenant_id, _Beginning(run=run, deadline=time.monotonic() + seconds))

    async def claim_run(self, run: Run, alone: Period | None = None, *, seconds: float) -> ClaimResult:
        """Writes the run's row unless one with its id exists; with `alone`, also unless another active run of the pipeline covers one of
        these days. Without `alone`, statements are shared as in `insert_run`. `run.claimed_by` must be unique to the caller. Raises as that
        does.
        """
        if alone is None:
            return await self._claims.submit(run.tenant_id, _Beginning(run=run, deadline=time.monotonic() + seconds))
        row = (await self._write_run("claim_run_exclusively", run, seconds, first_day=alone.first, last_day=alone.last)).only_row
        status = None if row["status"] is None else RunStatus(row["status"])
        return ClaimResult(is_ours=bool(row["leads"]), status=status, other=row["other"])

    async def overlapping_run(self, run: Run, period: Period) -> str | None:
        """The id of another active run of the pipeline that covers one of these days; None if there is none."""
        params = {
            "pipeline_logging_id": run.pipeline_logging_id,
            "pipeline_id": run.pipeline_id,
            "started_at": run.started_at,
            "first_day": period.first,
            "last_day": period.last,
        }
        [row] = await self._rows("overlapping_run", params, run.tenant_id) or [{"other": None}]
        return cast("str | None", row["other"])

    async def insert_refused_run(self, run: Run, *, seconds: float) -> None:
        """Writes a run that could not begin as FAILED, with `run.error_message`, unless it has begun elsewhere. Raises as `insert_run`
        does.
        """
        if (await self._write_run("insert_refused_run", run, seconds)).only_row["is_refused"]:
            refused = RunOutcome(status=RunStatus.FAILED, error_message=run.error_message)
            self._record(TenantRun.of(run).ended(refused, run.started_at))

    def lead(self, run: Run) -> None:
        """The run, whose row is written, is executed by this process from now on."""
        self.led_runs.begin(run)
        self._record(TenantRun.of(run))

    async def finish_run(self, tenant_id: str, run: str, outcome: RunOutcome, *, at: datetime) -> RunStatus | None:
        """As `RunEnds.finish`; the run's lines are flushed before."""
        await self.flushed(tenant_id, run)
        return await self.ends.finish(tenant_id, run, outcome, at=at)

    async def run_states(self, tenant_id: str, runs: Sequence[str]) -> dict[str, RunState]:
        """The states of these runs; runs without a row, and all runs of a tenant without a dataset, are missing."""
        rows = await self._rows("run_states", {"pipeline_logging_ids": list(runs)}, tenant_id)
        return {row["pipeline_logging_id"]: RunState(status=RunStatus(row["status"]), started_at=row["started_at"]) for row in rows}

    async def run_state(self, tenant_id: str, run: str) -> RunState | None:
        """The state of a run; None without a row. Concurrent look-ups for a tenant share a statement."""
        return await self._states.submit(tenant_id, run)

    async def overdue_runs(self, tenant_id: str, since: datetime) -> list[str]:
        """Runs that are RUNNING although their deadline was before `since`."""
        return [row["pipeline_logging_id"] for row in await self._rows("overdue_runs", {"since": since}, tenant_id)]

    async def running_runs(self, tenant_id: str) -> list[str]:
        """All runs of the tenant whose row says RUNNING. Raises NotFound without the table."""
        return [row["pipeline_logging_id"] for row in await self._rows("running_runs", {}, tenant_id)]

    async def run_ends(self, tenant_id: str, runs: Sequence[str], since: datetime) -> dict[str, RunEnd]:
        """The states of these runs, with their errors; runs without a row are missing. `since` as in `overdue_runs`."""
        rows = await self._rows("run_ends", {"pipeline_logging_ids": list(runs), "since": since}, tenant_id)
        if silent := [row["pipeline_logging_id"] for row in rows if row["is_final"] is None]:
            found = await self._rows("final_before_is_final", {"pipeline_logging_ids": silent}, tenant_id)
            final = {row["pipeline_logging_id"] for row in found}
            rows = [row | {"is_final": row["pipeline_logging_id"] in final} if row["is_final"] is None else row for row in rows]
        return {row["pipeline_logging_id"]: RunEnd.from_row(row) for row in rows}

    async def list_runs(self, tenant_id: str, wanted: RunFilter, *, limit: int) -> list[Run]:
        """At most `limit` runs, newest first; none for a tenant without a dataset."""
        after = wanted.after or (None, None)
        params = {
            "status": wanted.status,
            "pipeline_id": wanted.pipeline_id,
            "began_from": wanted.began_from,
            "began_before": wanted.began_before,
            "after_started_at": after[0],
            "after_id": after[1],
            "row_limit": limit,
        }
        return [Run.from_row(row) for row in await self._rows("list_runs", params, tenant_id)]

    async def find_run(self, tenant_id: str, run: str) -> Run | None:
        """One run; None if there is none."""
        rows = await self._rows("get_run", {"pipeline_logging_id": run}, tenant_id)
        return Run.from_row(rows[0]) if rows else None

    async def require_run(self, tenant_id: str, run: str) -> Run:
        """One run. Raises NotFound if there is none."""
        found = await self.find_run(tenant_id, run) if len(run) <= ID_LENGTH else None
        if found is None:
            raise no_such_run()
        return found

    async def list_step_logs(self, tenant_id: str, run: str) -> list[StepLog]:
        """A run's step logs, in the order in which they were written."""
        return [StepLog.from_row(row) for row in await self._rows("list_step_logs", {"pipeline_logging_id": run}, tenant_id)]

    async def list_dq_results(self, tenant_id: str, run: str) -> list[DqResult]:
        """A run's verdicts."""
        return [DqResult.from_row(row) for row in await self._rows("list_dq_results", {"pipeline_logging_id": run}, tenant_id)]

    def log_steps(self, tenant_id: str, logs: Sequence[StepLog]) -> None:
        """As `RunLines.log_steps`: to watchers at once, to the table in the background."""
        self.lines.log_steps(tenant_id, logs)

    def record_verdicts(self, tenant_id: str, results: Sequence[DqResult]) -> None:
        """As `RunLines.record_verdicts`: to watchers at once, to the table in the background."""
        self.lines.record_verdicts(tenant_id, results)

    async def flushed(self, tenant_id: str, run: str) -> None:
        """Returns when the run's lines are in the tables; to be called before its end becomes visible. As `RunLines.flushed`."""
        await self.lines.flushed(tenant_id, run)

    async def ensure_table(self, tenant_id: str, table: Table) -> None:
        """Brings `table` of the tenant's dataset up to its DDL; checks once in ten minutes."""
        await self._tenants.ensure_for_step(tenant_id, [table])

    async def ensure_tables(self, tenant_id: str, tables: Iterable[Table]) -> None:
        """As `ensure_table`, for several tables at once."""
        await self._tenants.ensure_for_step(tenant_id, tables)

    def look_ahead(self, tenant_id: str, tables: Iterable[Table]) -> None:
        """Begins to look at tables that a run will need; returns at once. Spares `ensure_table` its own look; changes nothing."""
        self._tenants.look_ahead(tenant_id, tables)

    def locate(self, tenant_id: str) -> None:
        """Begins to find out where the tenant's dataset is, for a run that will be written to it soon; returns at once."""
        asyncio.create_task(self._bq.locations.of(self._bq.tenant(tenant_id))).add_done_callback(note_end)

    async def _insert_runs(self, tenant_id: str, beginnings: Sequence[_Beginning]) -> Sequence[Exception | None]:
        in_time = _in_time(beginnings)
        await self._write_runs("insert_run", tenant_id, in_time)
        return [None if one in in_time else _too_late() for one in beginnings]

    async def _claim_runs(self, tenant_id: str, beginnings: Sequence[_Beginning]) -> Sequence[ClaimResult | Exception]:
        # An UPDATE accepts one source row for each target row, so of two callers in this process only the first is sent.
        first = {one.run.pipeline_logging_id: one for one in reversed(_in_time(beginnings))}
        rows = {row["pipeline_logging_id"]: row for row in await self._write_runs("claim_run", tenant_id, list(first.values()))}

        def claim_result(run: Run) -> ClaimResult | Exception:
            row = rows.get(run.pipeline_logging_id)
            if row is None:
                return _too_late()
            return ClaimResult(is_ours=row["claimed_by"] == run.claimed_by, status=RunStatus(row["status"]))

        return [claim_result(one.run) for one in beginnings]

    async def _write_runs(self, block: str, tenant_id: str, beginnings: Sequence[_Beginning]) -> list[dict[str, Any]]:
        if not beginnings:
            return []
        # The caller that has waited longest has the least time left, and no row may be written after its own deadline.
        left = min(beginning.deadline for beginning in beginnings) - time.monotonic()
        runs = [{**asdict(one.run), "parameters": json.dumps(dict(one.run.parameters))} for one in beginnings]
        return (await self._tenants.run(self._sql[block], {"runs": runs}, tenant_id, seconds=left)).rows

    async def _states_of(self, tenant_id: str, runs: Sequence[str]) -> Sequence[RunState | None]:
        states = await self.run_states(tenant_id, runs)
        return [states.get(run) for run in runs]

    async def _write_run(self, block: str, run: Run, seconds: float, **more: object) -> QueryResult:
        if seconds < MIN_SECONDS:
            raise _too_late()
        params = {name: value for name, value in asdict(run).items() if name in self._sql[block].params} | more
        params["parameters"] = dict(run.parameters)
        return await self._tenants.run(self._sql[block], params, run.tenant_id, seconds=seconds)

    async def _rows(self, block: str, params: Mapping[str, object], tenant_id: str) -> list[dict[str, Any]]:
        return await self._tenants.rows(self._sql[block], params, tenant_id)


def no_such_run() -> NotFound:
    """The error for a run that does not exist or is not the tenant's."""
    return NotFound("RUN_NOT_FOUND", "This tenant has no such run. List its runs to find it.")


def _in_time(beginnings: Sequence[_Beginning]) -> list[_Beginning]:
    """Without those whose time is almost up: they would shorten the time of the others."""
    now = time.monotonic()
    return [one for one in beginnings if one.deadline - now >= MIN_SECONDS]


def _too_late() -> Unavailable:
    message = "The time for writing the run's row was over before it was sent. Try again in a moment."
    return Unavailable("BIGQUERY_UNAVAILABLE", message, retry_after=timedelta(seconds=2))
