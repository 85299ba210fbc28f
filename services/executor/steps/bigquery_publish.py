"""`bigquery.publish`: one transaction replaces the run's days in the tenant's table by the staged and checked rows, unless the run has
ended.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Literal

import structlog

from services.executor.checks.own_rows import read_own_rows
from services.executor.errors import FenceLost, StepError
from services.executor.ledger.day_state import state_of
from services.executor.ledger.days import states_param
from services.executor.ledger.moves import COST_MOVES
from services.executor.ledger.store import DAYS as DAYS_TABLE
from services.executor.sources.source import LEDGER_OUTPUTS, MONTHS_OUTPUTS
from services.executor.staging.table_after import TableAfter
from services.executor.steps.after_publish import tables_after
from services.executor.steps.ledger_script import (
    DERIVED_FROM,
    EXPORTED,
    SOURCE,
    SOURCE_COLUMNS,
    SOURCE_VERSIONS,
    STATES_PARAM,
    LedgerEntry,
    LedgerKind,
)
from services.executor.steps.publish_changes import by_day, by_month, cost_move, moved, too_little
from services.executor.steps.publish_script import ACCEPT_LESS, OUTSIDE, OWN, Replacement, publish_scripts
from services.executor.steps.run_end_script import FENCES, RUN_ROWS, RUNS, EndOfRun
from services.executor.templates.faults import Faults, TemplateError
from services.executor.templates.months import MONTHS
from services.executor.templates.name import SEGMENT
from services.executor.templates.parameters import ParameterType
from services.executor.templates.period import DAY, DAYS
from services.executor.templates.section import Section
from services.executor.templates.step import LastStep, Scope, Step, StepContext, StepDryRun, StepResult
from services.platform.backoff import backoff
from services.platform.bigquery import errors as bigquery
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.sql import Block, make_block
from services.platform.metrics.runs import published

MAX_WITHIN: Final = 1
"""How often it is tried to end the run within the transaction."""
COST_MOVES_OUTPUT: Final = "cost_moves"
AMOUNTS: Final = ("FLOAT64", "NUMERIC")
MONTH_COLUMNS: Final = ("x_SourceId", "x_BillingPeriod")
SUPERSEDED_MESSAGE: Final = (
    "Nothing was published: another run has published a newer reading of one of these days while this one worked. Run it again if it "
    "should be read once more."
)
DOUBLED_MESSAGE: Final = (
    "Nothing was published, for another export has rows of the same accounts: {accounts}. Both would count their cost twice. Load one of "
    "them only; if this one takes the place of the other, run it once for these months with `replaces`, the location of the former one."
)
NEWER_EXPORT: Final = "a newer version of the export, or the same one, was published by another run while this one worked"
NEWER_SOURCE: Final = "another run has published newer rows of a day since they were read here; that run, or the next one, derives them"
STALE_MESSAGE: Final = (
    "Nothing was published: another run has published one of these days, too, while this one worked, so the rows that were read of it for"
    " this table are no longer those that are there. Run it again: until then, this table is behind."
)
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Publish:
    """A step of type `bigquery.publish`. If it is the run's last one, it records the run's end, too."""

    ends_run: ClassVar[Literal[True]] = True

    replacement: Replacement
    scripts: Mapping[EndOfRun, Block]
    """Composed by `publish_script`, one for each way to end the run."""
    meta: tuple[Table, ...]
    """Other tables that the script names; older ones lack a column of it."""
    tables_after: tuple[TableAfter, ...] = ()
    """What its tables will hold, for steps that work beside it."""

    @property
    def OUTPUTS(self) -> Mapping[str, str]:
        """By how much the days have moved that were published before, for a source's own table."""
        ledger = self.replacement.ledger
        return {COST_MOVES_OUTPUT: COST_MOVES} if ledger and ledger.kind is not LedgerKind.DERIVED else {}

    @property
    def _lock(self) -> str:
        # The tables of a source write the same rows of the ledger.
        return DAYS_TABLE if self.replacement.ledger else self.replacement.table.name

    async def run(self, context: StepContext) -> StepResult:
        """Raises FenceLost if the run has ended; StepError if a day would lose too much, or if a row is outside the run's days or
        provider.
        """
        await self._make_tables(context)
        # One publish into a table at a time: BigQuery would cancel all but one of the transactions, each after seconds of work.
        async with context.tools.publish_locks.of(context.run.tenant_id, self._lock):
            try:
                outcome = await (self._publish(context) if context.last is None else self._publish_and_end(context, context.last))
            except bigquery.BadRequest as error:
                if OUTSIDE not in str(error):
                    raise
                name = self.replacement.table.name
                message = f"Nothing was published, for a row for {name} lies outside the days or the provider of this run."
                raise StepError(f"{message} Correct the template's query.") from error
        days, by_months = by_day(outcome["changes"]), self.replacement.by_months
        if not outcome["published"] and outcome["ended_at"] is None:
            if outcome["is_superseded"]:
                return self._superseded(is_newer_there=outcome["is_newer_there"])
            if outcome["doubled"]:
                raise StepError(DOUBLED_MESSAGE.format(accounts=outcome["doubled"]))
            raise too_little(by_month(outcome["changes"]) if by_months else days) or FenceLost()
        self._show(context, days)
        moves = [cost_move(day, outcome["final_days"]) for day in days if day["rows_before"] and day["net_before"] != day["net_after"]]
        if after_final := [move.text for move in moves if move.was_final]:
            _log.warning("cost_changed_after_final", tenant_id=context.run.tenant_id, days=len(after_final))
        return StepResult(
            rows_processed=outcome["rows_published"],
            ended_at=outcome["ended_at"],
            outputs={COST_MOVES_OUTPUT: [asdict(move) for move in moves]} if self.OUTPUTS else {},
            metadata={
                "table": self.replacement.table.name,
                "moved": [moved(day) for day in days if day["rows_before"] and (not by_months or day["net_before"] != day["net_after"])],
                **({"changed_after_final": after_final} if after_final else {}),
            },
        )

    def _show(self, context: StepContext, days: Sequence[Mapping[str, Any]]) -> None:
        if not self.OUTPUTS:  # derived of what was counted already
            return
        restated = sum(bool(day["rows_before"]) and day["net_before"] != day["net_after"] for day in days)
        newest = max((day["usage_date"] for day in days if day["rows_after"]), default=None)
        is_current = context.run.trigger_type == "scheduler"  # others have chosen their days
        published(context.provider, newest_day=newest if is_current else None, restated_days=restated, now=context.tools.clock.now())

    async def _publish(self, context: StepContext) -> Mapping[str, Any]:
        return (await context.query(self.scripts[EndOfRun.LATER], self._own(context))).only_row

    async def _publish_and_end(self, context: StepContext, last: LastStep) -> Mapping[str, Any]:
        own = {RUN_ROWS: last.rows_processed, **self._own(context)}
        async with context.tools.store.ends.quiet(context.run.tenant_id):
            for number, wait in enumerate(backoff(first=0.1, most=8.0), 1):
                way = EndOfRun.WITHIN if number <= MAX_WITHIN else EndOfRun.AFTER
                try:
                    # Not repeated by the client: the time of the end is reckoned from when this was sent.
                    return (await context.query(self.scripts[way], own, once=True)).only_row
                except bigquery.TransactionCancelled as cancelled:
                    _log.info("publish_cancelled", table=self.replacement.table.name, way=way.name, error=str(cancelled.__cause__))
                if way is EndOfRun.AFTER:
                    await asyncio.sleep(wait)
        raise AssertionError("backoff never ends")

    def _superseded(self, *, is_newer_there: bool) -> StepResult:
        """The result if another run was faster, as far as that run has done this one's work. Raises StepError if it has not."""
        is_derived = self.replacement.ledger is not None and self.replacement.ledger.kind is LedgerKind.DERIVED
        if not is_newer_there:
            raise StepError(STALE_MESSAGE if is_derived else SUPERSEDED_MESSAGE, is_retryable=True)
        reason = NEWER_SOURCE if is_derived else NEWER_EXPORT
        return StepResult(
            rows_processed=0, outputs=dict.fromkeys(self.OUTPUTS, ()), metadata={"table": self.replacement.table.name, "superseded": reason}
        )

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """Estimates the script."""
        await self._make_tables(context)
        return await context.dry_run(self.scripts[EndOfRun.LATER], self._own(context))

    @property
    def tables(self) -> tuple[Table, ...]:
        """All that the script names but the staging tables."""
        return (self.replacement.table, *self.meta)

    async def _make_tables(self, context: StepContext) -> None:
        await context.tools.store.ensure_tables(context.run.tenant_id, self.tables)

    def _own(self, context: StepContext) -> Mapping[str, object]:
        own: dict[str, object] = {OWN: self.replacement.own.value} if self.replacement.own else {}
        if self.replacement.ledger and context.period:
            now = context.tools.clock.now()
            states = {day: state_of(day, month_changed_at=now, now=now) for day in context.period.days}
            own |= {SOURCE: self.replacement.ledger.source, STATES_PARAM: states_param(states)}
        return own | {"claimed_by": context.run.claimed_by}


def parse(section: Section, scope: Scope) -> Step:
    """Refuses, with TemplateError, everything that cannot be composed into the fenced replace."""
    table = scope.table(section)
    faults = Faults()
    faults.attempt(lambda: _check_parameters(section, scope), None)
    replacement = Replacement(
        table=table,
        day=faults.attempt(lambda: _column(section, "day", table, ("DATE",)), None) or "",
        own=faults.attempt(lambda: read_own_rows(section, table.create), None),
        currency=faults.attempt(lambda: _column(section, "currency", table, ("STRING",), required=False), None),
        cost=faults.attempt(lambda: _column(section, "cost", table, AMOUNTS, required=False), None),
        net_cost=faults.attempt(lambda: _column(section, "net_cost", table, AMOUNTS, required=False), None),
        ledger=faults.attempt(lambda: _ledger(section, scope, table), None),
    )
    rows = faults.attempt(lambda: _rows(section, scope, table), None)
    if rows is None or faults.found:
        raise TemplateError(*faults.found)
    scripts = publish_scripts(replacement, rows)
    meta = (FENCES, RUNS, *(replacement.ledger.tables if replacement.ledger else ()))
    after = tables_after(replacement, rows)
    return Publish(replacement=replacement, scripts=scripts, meta=tuple(scope.tables[name] for name in meta), tables_after=after)


def _check_parameters(section: Section, scope: Scope) -> None:
    if not scope.covers_days:
        rule = f"bigquery.publish replaces days: the template must declare a parameter `{DAY}` of type {ParameterType.DATE}, or {MONTHS}"
        raise section.error(rule, may_follow=True)
    if ACCEPT_LESS not in scope.parameters or scope.parameters[ACCEPT_LESS].type is not ParameterType.BOOLEAN:
        rule = f"bigquery.publish refuses a day that would lose more than half of its rows, unless the caller gives `{ACCEPT_LESS}`"
        raise section.error(f"{rule}: the template must declare that parameter, of type {ParameterType.BOOLEAN}", may_follow=True)


def _ledger(section: Section, scope: Scope, table: Table) -> LedgerEntry | None:
    """Reads `ledger: {source, service}`, `ledger: {source, derived_from}` or `ledger: {source, service, months: true}`."""
    if "ledger" not in section.keys:
        section.scalar("ledger")  # marks the key as known where it is absent
        for name, part in ((DAYS, "a day"), (MONTHS, "what a day holds")):
            if name in scope.parameters:
                rule = f"a template with the parameter `{name}` may read a part of {part} only"
                raise section.error(f"{rule}, so a publish in it needs `ledger`, which says what is kept")
        return None
    entry = section.section("ledger", "ledger")
    kind = _ledger_kind(entry)
    source = entry.text("source")
    if not SEGMENT.fullmatch(source):
        raise entry.error(f"the source `{source}` must be lower-case letters, digits and underscores", "source")
    service = None if kind is LedgerKind.DERIVED else _column(entry, "service", table, ("STRING",))
    derived_from = _derived_from(entry, scope) if kind is LedgerKind.DERIVED else None
    entry.finish()
    needed = {LedgerKind.DERIVED: {DERIVED_FROM: SOURCE_VERSIONS}, LedgerKind.READINGS: LEDGER_OUTPUTS, LedgerKind.MONTHS: MONTHS_OUTPUTS}
    if missing := [name for name, type_ in needed[kind].items() if scope.outputs.get(name) != type_]:
        rule = f"`ledger` needs `{missing[0]}` of the step that reads the source, which this step does not need"
        raise section.error(rule, "ledger", may_follow=True)
    if kind is LedgerKind.READINGS and table.columns.get(EXPORTED) != "TIMESTAMP":
        raise section.error(f"`ledger` needs a column {EXPORTED} of type TIMESTAMP in {table.name}, to know which rows are new", "ledger")
    if kind is LedgerKind.MONTHS and (lacking := [name for name in MONTH_COLUMNS if name not in table.columns]):
        raise section.error(f"`ledger` with `months` needs a column {lacking[0]} in {table.name}, to know what is replaced", "ledger")
    return LedgerEntry(source=source, service=service, kind=kind, derived_from=derived_from)


def _derived_from(entry: Section, scope: Scope) -> str:
    table = scope.table(entry, "derived_from")
    if lacking := [name for name, kind in SOURCE_COLUMNS.items() if table.columns.get(name) != kind]:
        rule = f"`derived_from` needs a column {lacking[0]} of type {SOURCE_COLUMNS[lacking[0]]} in {table.name}"
        raise entry.error(f"{rule}, to know whether a day is still as it was read", "derived_from")
    return table.name


def _ledger_kind(entry: Section) -> LedgerKind:
    is_derived, is_months = bool(entry.text("derived_from", "")), entry.flag("months")
    if is_derived and is_months:
        raise entry.error("`derived_from` and `months` exclude each other", "months")
    if is_derived:
        return LedgerKind.DERIVED
    return LedgerKind.MONTHS if is_months else LedgerKind.READINGS


def _rows(section: Section, scope: Scope, table: Table) -> Block:
    """The template's query, or all columns of the staging table unchanged."""
    if ("sql" in section.keys) == ("staging" in section.keys):
        raise section.error("bigquery.publish needs either `sql`, a query for the rows, or `staging`, whose rows are taken as they are")
    if "sql" in section.keys:
        block = scope.block(section)
        if not block.is_query:
            raise section.error(f"the block {block.name} must be one SELECT: the step itself makes the transaction around it", "sql")
        return block
    shape = scope.staging[section.text("staging", among=scope.staging)]
    if missing := [name for name in table.columns if name not in shape.columns]:
        raise section.error(f"{shape.name} has no column {missing[0]}, which {table.name} has", "staging")
    return make_block("staged_rows", f"SELECT {', '.join(table.columns)}\nFROM {shape.name}", {})


def _column(section: Section, key: str, table: Table, types: Sequence[str], *, required: bool = True) -> str | None:
    name = section.text(key) if required else section.text(key, "")
    if not name:
        return None
    if table.columns.get(name) not in types:
        raise section.error(f"`{name}` is no column of type {' or '.join(types)} of {table.name}", key)
    return name
