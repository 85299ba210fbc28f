"""What a step type is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from services.executor.keyed_locks import KeyedLocks
from services.executor.notify.notification import Notification
from services.executor.records import Period, Run, RunOutcome
from services.executor.sources.source import Sources
from services.executor.staging.shape import StagingShape, StagingTable, bind
from services.executor.staging.tables import StagingTables
from services.executor.store import Store
from services.executor.templates.parameters import SQL_TYPES, ParameterSpec, Value
from services.executor.templates.section import Section
from services.executor.workers import Workers
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.result import QueryResult
from services.platform.bigquery.sql import Block, parse_blocks
from services.platform.clock import Clock

RUN_VALUES = {"tenant_id": "STRING", "pipeline_id": "STRING", "pipeline_logging_id": "STRING", "attempt": "INT64", "loaded_at": "TIMESTAMP"}
"""What every SQL block of a template may declare as a parameter, besides the template's parameters and what earlier steps found out."""


PERIOD_VALUES = {"first_day": "DATE", "last_day": "DATE"}
"""And these, in a template that is run for days (see `period`)."""


class Notifications(Protocol):
    """Takes what is to be told about runs."""

    def accept(self, notification: Notification) -> bool:
        """Returns at once: whether it will be tried to deliver it."""
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
    spool_dir: Path
    publish_locks: KeyedLocks
    """Of publishing into a tenant's table."""


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
    """The days that the run covers, if its template is run for days."""
    outputs: Mapping[str, object]
    """What the steps before it, which it needs, found out, by name."""
    staging: tuple[StagingTable, ...]
    """What the steps before it have filled."""
    outcome: RunOutcome
    """In the epilogue, what the run is about to end as, in words for the tenant; RUNNING before that."""
    tools: Toolbox

    @property
    def days_not_over(self) -> dict[str, list[str]]:
        """For a step's metadata: which of the run's days were not over as it began, so that only part of them can be read; empty: none."""
        days = self.period.not_over(self.run.started_at) if self.period else []
        return {"days_not_over": [day.isoformat() for day in days]} if days else {}

    async def query(self, block: Block, own: Mapping[str, object] | None = None) -> QueryResult:
        """Runs a block of the template in the tenant's dataset, on the run's own staging tables; the job is stopped with the step.

        `own`: parameters that only the step knows. Raises as BigQuery.query does.
        """
        dataset = self.tools.bq.tenant(self.run.tenant_id)
        params = self._params(block, own or {})
        return await self.tools.bq.query_job(bind(block, self.staging), params, dataset=dataset, seconds=self.timeout_seconds)

    async def dry_run(self, block: Block, own: Mapping[str, object] | None = None) -> int:
        """The bytes that BigQuery says such a query would read. Nothing is run. Raises as BigQuery.query does."""
        dataset = self.tools.bq.tenant(self.run.tenant_id)
        return await self.tools.bq.dry_run(bind(block, self.staging), self._params(block, own or {}), dataset=dataset)

    def _params(self, block: Block, own: Mapping[str, object]) -> dict[str, object]:
        run = {
            "tenant_id": self.run.tenant_id,
            "pipeline_id": self.run.pipeline_id,
            "pipeline_logging_id": self.run.pipeline_logging_id,
            "attempt": self.run.attempt,
            "loaded_at": self.tools.clock.now(),
        }
        days = self.period.params if self.period else {}
        known = {**run, **days, **self.parameters, **self.outputs, **own}
        return {name: known[name] for name in block.params}


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """What a step that worked has to tell."""

    rows_processed: int | None = None
    outputs: Mapping[str, object] = field(default_factory=dict)
    """For the steps after it, by name; as the type's FINDS promises."""
    staging: tuple[StagingTable, ...] = ()
    """What it has filled; dropped when the run ends."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """For the step's log line; JSON values, no secrets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepDryRun:
    """What a step would read."""

    bytes_read: int
    """As it is estimated, without what the steps before it would stage."""
    cost_usd: float | None = None
    """By the prices of what it reads; None: it is a query of ours, and costs what BigQuery charges for one."""
    staging: tuple[StagingTable, ...] = ()
    """Made empty, so that the SQL of the steps after it can be looked at; dropped afterwards."""
    staged_bytes: int = 0
    """That would be in them."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON values, no secrets."""


@runtime_checkable
class DryRunnable(Protocol):
    """A step that can tell what it would read."""

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """Looks, and changes nothing but empty staging tables. `context.outputs` holds zeros. Raises StepError for what `run` would."""
        ...


class Step(Protocol):
    """A step, as its part of a template made it. Frozen: one serves all runs."""

    @property
    def OUTPUTS(self) -> Mapping[str, str]:
        """What it finds out, name to GoogleSQL type: later steps' SQL may declare these as parameters."""
        ...

    async def run(self, context: StepContext) -> StepResult:
        """Does the work. Raises StepError; anything else that is raised is a bug or a dependency that does not answer.

        May be called again after it failed: what it leaves behind must not disturb the next try.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What a step may refer to while a template is read."""

    folder: Path
    """The template's."""
    parameters: Mapping[str, ParameterSpec]
    covers_days: bool = False
    """It is run for days. See `period`."""
    outputs: Mapping[str, str]
    """What the steps that come before find out, name to GoogleSQL type."""
    staging: Mapping[str, StagingShape]
    tables: Mapping[str, Table]
    """The tables of a tenant's dataset, by name."""

    def block(self, section: Section, key: str = "sql") -> Block:
        """The SQL block that `key` names as `file.sql#block`. Raises TemplateError if it is not there or wants a parameter nobody gives."""
        file, _, name = section.text(key).partition("#")
        path = self.folder / file
        if Path(file).name != file or not path.is_file():
            raise section.error(f"there is no file {file} beside the template", key)
        try:
            block = parse_blocks(path.read_text(encoding="utf-8"), file).get(name)
        except (OSError, ValueError) as error:
            raise section.error(str(error), key) from error
        if block is None:
            raise section.error(f"{file} has no block `{name}`", key)
        typed = {spec.name: SQL_TYPES[spec.type] for spec in self.parameters.values() if spec.type in SQL_TYPES}
        known = {**RUN_VALUES, **(PERIOD_VALUES if self.covers_days else {}), **typed, **self.outputs}
        for param, kind in block.params.items():
            if known.get(param) != kind:
                there = f"is {known[param]}" if param in known else "is not known here"
                raise section.error(f"block {name} declares @{param} {kind}, which {there}", key)
        return block

    def table(self, section: Section, key: str = "table") -> Table:
        """The table of a tenant's dataset that `key` names. Raises TemplateError if there is none."""
        return self.tables[section.text(key, among=self.tables)]


type StepType = Callable[[Section, Scope], Step]
"""Reads what a template says for a step of this type. Raises TemplateError."""
