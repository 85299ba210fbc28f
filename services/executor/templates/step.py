"""The interface of step types: what a step gets, what it returns, and how it is parsed."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol, cast, runtime_checkable

from services.executor.keyed_locks import KeyedLocks
from services.executor.metering.meter import StepMeter
from services.executor.metering.run import Metering
from services.executor.notify.notification import Notification
from services.executor.records import Period, Run, RunOutcome
from services.executor.sources.source import Sources
from services.executor.sources.spool import SpoolRoom
from services.executor.staging.shape import StagingShape, StagingTable, bind
from services.executor.staging.table_after import TableAfter, read_after
from services.executor.staging.tables import StagingTables
from services.executor.store import Store
from services.executor.templates.parameters import SQL_TYPES, ParameterSpec, Value
from services.executor.templates.section import Section
from services.executor.workers import Workers
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.errors import BadRequest, bytes_required
from services.platform.bigquery.query_parameters import AGAIN
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import Block, parse_blocks
from services.platform.clock import Clock

RUN_VALUES = {"tenant_id": "STRING", "pipeline_id": "STRING", "pipeline_logging_id": "STRING", "attempt": "INT64", "loaded_at": "TIMESTAMP"}
RUN_VALUES |= {AGAIN: "BOOL"}
"""Parameters that every SQL block may declare, besides the template's and the outputs of earlier steps. AGAIN: it may have run before."""
PERIOD_VALUES = {"first_day": "DATE", "last_day": "DATE", "run_days": "ARRAY<DATE>"}
"""Further parameters in templates that run for days (`period`) or billing periods (`months`). @run_days may have gaps."""
SHARED: Final = "shared"
"""The folder of configs/ with SQL for templates of all providers."""


class Notifications(Protocol):
    """Accepts notifications about runs."""

    def accept(self, notification: Notification) -> bool:
        """Queues a notification and returns at once: False if it was dropped."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Toolbox:
    """What steps work with."""

    bq: BigQuery
    store: Store
    staging: StagingTables
    sources: Sources
    notifier: Notifications
    workers: Workers
    clock: Clock
    spool: SpoolRoom
    publish_locks: KeyedLocks
    """One lock for each tenant's table, for publishing into it."""
    metering: Metering = field(default_factory=Metering)


@dataclass(frozen=True, kw_only=True, slots=True)
class LastStep:
    """For a step after which the run has nothing left to do."""

    rows_processed: int | None
    """The run's row count; None: that of this step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepContext:
    """One try of one step of one run."""

    run: Run
    provider: str
    """Lower-case."""
    step_id: str
    timeout_seconds: int
    parameters: Mapping[str, Value]
    period: Period | None
    """The days that the run covers; None if its template does not run for days, and before a run for changed days has found them."""
    outputs: Mapping[str, object]
    """Outputs, by name, of the earlier steps that it needs."""
    staging: tuple[StagingTable, ...]
    """Staging tables that earlier steps have filled."""
    outcome: RunOutcome
    """For final steps: how the run is about to end, worded for the tenant. RUNNING before that."""
    tools: Toolbox
    meter: StepMeter = field(default_factory=StepMeter)
    """Counts what this try uses, and enforces the run's caps."""
    last: LastStep | None = None
    """Set if no step follows: then a step that implements `EndsRun` may record the run's end together with its own work."""
    staged_later: tuple[StagingTable, ...] = ()
    """Staging tables that later steps will fill."""
    requested_at: float = field(default_factory=time.monotonic)
    """When the run was requested, in monotonic seconds. Its credentials are at least as new as this."""

    @property
    def days_not_over(self) -> dict[str, list[str]]:
        """For a step's metadata: the run's days that were not over when it began, so that their data is incomplete. Empty: none."""
        days = self.period.not_over(self.run.started_at) if self.period else []
        return {"days_not_over": [day.isoformat() for day in days]} if days else {}

    @property
    def reads_parts_of_days(self) -> bool:
        """True if only the newer rows of some day were read, or a day of a run for changed days is not over."""
        reads = cast("Sequence[Mapping[str, object]]", self.outputs.get("day_reads", ()))
        is_followed = any(read["is_followed"] for read in reads)
        return any(read["since"] for read in reads) or (is_followed and bool(self.days_not_over))

    async def query(self, block: Block, own: Mapping[str, object] | None = None, *, once: bool = False) -> QueryResult:
        """Runs a block of the template in the tenant's dataset, on the run's staging tables; cancelling the step cancels the job.

        `own`: parameters of the step itself. Raises as BigQuery.query does, and CapExceeded if it would cost more than the run may. `once`:
        raises TransactionCancelled, too, see `query_job`.
        """
        dataset, params = self.tools.bq.tenant(self.run.tenant_id), self._params(block, own or {})
        try:
            return await self.tools.bq.query_job(
                bind(block, self.staging), params, dataset=dataset, seconds=self.timeout_seconds, account=self.meter, once=once
            )
        except BadRequest as error:
            if (needed := bytes_required(error)) is None:
                raise
            raise self.meter.refused(needed) from error

    async def dry_run(self, block: Block, own: Mapping[str, object] | None = None) -> "StepDryRun":
        """Estimates the query; nothing is run. Raises as BigQuery.query does."""
        bq, params = self.tools.bq, self._params(block, own or {})
        size = await bq.dry_run(bind(block, self.staging), params, dataset=bq.tenant(self.run.tenant_id))
        return StepDryRun(bytes_read=size, references=block.references)

    def _params(self, block: Block, own: Mapping[str, object]) -> dict[str, object]:
        run = {
            "tenant_id": self.run.tenant_id,
            "pipeline_id": self.run.pipeline_id,
            "pipeline_logging_id": self.run.pipeline_logging_id,
            "attempt": self.run.attempt,
            "loaded_at": self.tools.clock.now(),
            AGAIN: self.meter.labels.get("attempt", "1") != "1",
        }
        days = self.period.params if self.period else {}
        known = {**run, **days, **self.parameters, **self.outputs, **own}
        return {name: known[name] for name in block.params}


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """The result of a step that succeeded."""

    rows_processed: int | None = None
    outputs: Mapping[str, object] = field(default_factory=dict)
    """Outputs for later steps, by name, with the types of OUTPUTS."""
    staging: tuple[StagingTable, ...] = ()
    """Staging tables that it has filled; dropped when the run ends."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """For the step's log line; JSON values, no secrets."""
    period: Period | None = None
    """The days of a run for changed days, from the step that finds them; None: another step, or another run."""
    is_unchanged: bool = False
    """There is nothing to do: the steps that need this one are skipped, and the run completes."""
    ended_at: datetime | None = None
    """When it has recorded the run's end, COMPLETED, as the last step may."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDryRun:
    """The estimate of a step."""

    bytes_read: int
    """The estimate, without what earlier steps would stage."""
    references: int = 0
    """For a query of ours: the tables that it names, each once a statement."""
    cost_usd: float | None = None
    """The tenant's cost, at the prices of the source; None: it is a query of ours, at BigQuery's price."""
    staging: tuple[StagingTable, ...] = ()
    """Created empty, so that the SQL of later steps can be analyzed; dropped afterwards."""
    staged_bytes: int = 0
    """Estimated bytes that would be staged in them."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON values, no secrets."""
    period: Period | None = None
    is_unchanged: bool = False
    """As in StepResult."""


@runtime_checkable
class DryRunnable(Protocol):
    """A step that can estimate what it would read."""

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """Estimates; changes nothing but empty staging tables. `context.outputs` holds zeros. Raises StepError where `run` would."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """A step that often has nothing to do, and can find this out before the steps that it needs have ended."""

    async def foresee(self, context: StepContext) -> StepResult | None:
        """The result of `run` if there is nothing to do; None: `run` must be called. Reads only metadata. May be called while earlier steps
        work, so `context` has none of their results.
        """
        ...


@runtime_checkable
class EndsRun(Protocol):
    """A step that records the run's end together with its own work if `context.last` is set."""

    ends_run: ClassVar[Literal[True]]


@runtime_checkable
class UsesTables(Protocol):
    """A step that updates tables of the tenant's dataset to their DDL before it works."""

    @property
    def tables(self) -> tuple[Table, ...]:
        """These tables."""
        ...


class Step(Protocol):
    """A step, parsed from a template. Frozen: one object serves all runs."""

    @property
    def OUTPUTS(self) -> Mapping[str, str]:
        """Output names -> GoogleSQL types; later steps' SQL may use them as @parameters."""
        ...

    async def run(self, context: StepContext) -> StepResult:
        """Does the work. Raises StepError; any other exception is a bug or a dependency that does not answer.

        May be called again after a failure: what a try leaves behind must not disturb the next one.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What a step may refer to while its template is read."""

    folder: Path
    """The template's folder."""
    parameters: Mapping[str, ParameterSpec]
    covers_days: bool = False
    """True if the template runs for days, see `period`, or for billing periods, see `months`: the steps after the one that reads the source
    know the days."""
    outputs: Mapping[str, str]
    """Outputs of the steps before it, name to GoogleSQL type."""
    staging: Mapping[str, StagingShape]
    tables: Mapping[str, Table]
    """The tables of a tenant's dataset, by name."""
    tables_after: tuple[TableAfter, ...] = ()
    """The tables that its SQL reads with the content that a concurrent publish will give them."""

    def block(self, section: Section, key: str = "sql") -> Block:
        """The SQL block that `key` names as `file.sql#block` or `shared/file.sql#block`, with `tables_after`. Raises TemplateError if it
        does not exist or declares an unknown parameter.
        """
        file, _, name = section.text(key).partition("#")
        if (path := sql_file(self.folder, file)) is None:
            raise section.error(f"there is no file {file} beside the template, and none of that name in {SHARED}/", key)
        try:
            found = parse_blocks(path.read_text(encoding="utf-8"), file).get(name)
            block = read_after(found, self.tables_after) if found else None
        except (OSError, ValueError) as error:
            raise section.error(str(error), key) from error
        if block is None:
            raise section.error(f"{file} has no block `{name}`", key)
        typed = {spec.name: SQL_TYPES[spec.type] for spec in self.parameters.values() if spec.type in SQL_TYPES}
        known = {**RUN_VALUES, **(PERIOD_VALUES if self.covers_days else {}), **typed, **self.outputs}
        for param, kind in block.params.items():
            if known.get(param) != kind:
                there = f"is {known[param]}" if param in known else "is not known here"
                raise section.error(f"block {name} declares @{param} {kind}, which {there}", key, may_follow=param not in known)
        return block

    def table(self, section: Section, key: str = "table") -> Table:
        """The table of a tenant's dataset that `key` names. Raises TemplateError if there is none."""
        return self.tables[section.text(key, among=self.tables)]


def sql_file(folder: Path, name: str) -> Path | None:
    """The file `name` of a template in `folder` (configs/{provider}/{domain}): a file in that folder, or `shared/{file}` in configs/shared,
    for templates of all providers. None if it does not exist; a name never leads to another folder.
    """
    first, _, rest = name.rpartition("/")
    beside = {"": folder, SHARED: folder.parent.parent / SHARED}.get(first)
    path = beside / rest if beside and Path(rest).name == rest else None
    return path if path and path.is_file() else None


type StepType = Callable[[Section, Scope], Step]
"""Parses a step of this type from its section. Raises TemplateError."""
