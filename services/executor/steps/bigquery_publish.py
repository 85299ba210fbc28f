"""`bigquery.publish`: one transaction replaces the run's days in the tenant's table by the staged and checked rows, unless the run has
ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final

import structlog

from services.executor.checks.own_rows import read_own_rows
from services.executor.errors import FenceLost, StepError
from services.executor.ledger.day_state import state_of
from services.executor.ledger.days import states_param
from services.executor.ledger.moves import COST_MOVES, CostMove
from services.executor.ledger.store import DAYS as DAYS_TABLE
from services.executor.sources.source import LEDGER_OUTPUTS
from services.executor.steps.ledger_script import DERIVED_FROM, EXPORTED, SOURCE, SOURCE_VERSIONS, STATES_PARAM, LedgerEntry
from services.executor.steps.publish_script import ACCEPT_LESS, FENCES, OUTSIDE, OWN, RUNS, Replacement, publish_script
from services.executor.templates.parameters import ParameterType
from services.executor.templates.period import DAY, DAYS
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepContext, StepDryRun, StepResult
from services.platform.bigquery import errors as bigquery
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.sql import Block, make_block

COST_MOVES_OUTPUT: Final = "cost_moves"
DIGITS: Final = 6
"""Decimal places of money in a step's log line: further ones of a FLOAT64 sum are noise."""
MAX_DAYS_NAMED: Final = 5
"""Days named in an error message."""
SUPERSEDED_MESSAGE: Final = (
    "Nothing was published: another run has published a newer reading of one of these days while this one worked. Run it again if it "
    "should be read once more."
)
NEWER_SOURCE: Final = "another run has published newer rows of a day since they were read here; that run, or the next one, derives them"
_log = structlog.get_logger()
_SUMMED: Final = ("rows_before", "rows_after", "cost_before", "cost_after", "net_before", "net_after")


@dataclass(frozen=True, kw_only=True, slots=True)
class Publish:
    """A step of type `bigquery.publish`."""

    replacement: Replacement
    script: Block
    """Composed by `publish_script`."""
    meta: tuple[Table, ...]
    """Other tables that the script names; older ones lack a column of it."""

    @property
    def OUTPUTS(self) -> Mapping[str, str]:
        """By how much the days have moved that were published before, for a source's own table."""
        return {COST_MOVES_OUTPUT: COST_MOVES} if self.replacement.is_partial else {}

    @property
    def _is_derived(self) -> bool:
        return self.replacement.ledger is not None and self.replacement.ledger.is_derived

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
                outcome = (await context.query(self.script, self._own(context))).only_row
            except bigquery.BadRequest as error:
                if OUTSIDE not in str(error):
                    raise
                name = self.replacement.table.name
                message = f"Nothing was published, for a row for {name} lies outside the days or the provider of this run."
                raise StepError(f"{message} Correct the template's query.") from error
        days = by_day(outcome["changes"])
        if not outcome["published"]:
            if outcome["is_superseded"] and self._is_derived:
                return StepResult(rows_processed=0, metadata={"table": self.replacement.table.name, "superseded": NEWER_SOURCE})
            if outcome["is_superseded"]:
                raise StepError(SUPERSEDED_MESSAGE, is_retryable=True)
            raise _too_little(days) or FenceLost()
        moves = [_cost_move(day, outcome["final_days"]) for day in days if day["rows_before"] and day["net_before"] != day["net_after"]]
        if after_final := [move.text for move in moves if move.was_final]:
            _log.warning("cost_changed_after_final", tenant_id=context.run.tenant_id, days=len(after_final))
        return StepResult(
            rows_processed=outcome["rows_published"],
            outputs={COST_MOVES_OUTPUT: [asdict(move) for move in moves]} if self.OUTPUTS else {},
            metadata={
                "table": self.replacement.table.name,
                "moved": [_moved(day) for day in days if day["rows_before"]],
                **({"changed_after_final": after_final} if after_final else {}),
            },
        )

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """Estimates the script."""
        await self._make_tables(context)
        return await context.dry_run(self.script, self._own(context))

    async def _make_tables(self, context: StepContext) -> None:
        for table in (self.replacement.table, *self.meta):
            await context.tools.store.ensure_table(context.run.tenant_id, table)

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
    if not scope.covers_days:
        raise section.error(f"bigquery.publish replaces days: the template must declare a parameter `{DAY}` of type {ParameterType.DATE}")
    if ACCEPT_LESS not in scope.parameters or scope.parameters[ACCEPT_LESS].type is not ParameterType.BOOLEAN:
        rule = f"bigquery.publish refuses a day that would lose more than half of its rows, unless the caller gives `{ACCEPT_LESS}`"
        raise section.error(f"{rule}: the template must declare that parameter, of type {ParameterType.BOOLEAN}")
    replacement = Replacement(
        table=table,
        day=_column(section, "day", table, ("DATE",)) or "",
        own=read_own_rows(section, table.create),
        currency=_column(section, "currency", table, ("STRING",), required=False),
        cost=_column(section, "cost", table, ("FLOAT64", "NUMERIC"), required=False),
        net_cost=_column(section, "net_cost", table, ("FLOAT64", "NUMERIC"), required=False),
        ledger=_ledger(section, scope, table),
    )
    script = publish_script(replacement, _rows(section, scope, table))
    meta = (FENCES, RUNS, *(replacement.ledger.tables if replacement.ledger else ()))
    return Publish(replacement=replacement, script=script, meta=tuple(scope.tables[name] for name in meta))


def _ledger(section: Section, scope: Scope, table: Table) -> LedgerEntry | None:
    """Reads `ledger: {source, service}` or `ledger: {source, derived: true}`."""
    if "ledger" not in section.keys:
        section.scalar("ledger")  # marks the key as known where it is absent
        if DAYS in scope.parameters:
            rule = f"a template with the parameter `{DAYS}` may read a part of a day only"
            raise section.error(f"{rule}, so a publish in it needs `ledger`, which says what is kept")
        return None
    entry = section.section("ledger", "ledger")
    is_derived = entry.flag("derived")
    source = entry.text("source")
    service = None if is_derived else _column(entry, "service", table, ("STRING",))
    entry.finish()
    needed = {DERIVED_FROM: SOURCE_VERSIONS} if is_derived else LEDGER_OUTPUTS
    if missing := [name for name, kind in needed.items() if scope.outputs.get(name) != kind]:
        raise section.error(f"`ledger` needs `{missing[0]}` of the step that reads the source, which this step does not need", "ledger")
    if not is_derived and table.columns.get(EXPORTED) != "TIMESTAMP":
        raise section.error(f"`ledger` needs a column {EXPORTED} of type TIMESTAMP in {table.name}, to know which rows are new", "ledger")
    return LedgerEntry(source=source, service=service, is_derived=is_derived)


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


def by_day(changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The changes of each day and currency, services together, in order."""
    days = dict[tuple[date, str | None], dict[str, Any]]()
    for change in changes:
        day = days.setdefault(
            (change["usage_date"], change["currency"]),
            {"usage_date": change["usage_date"], "currency": change["currency"], "is_too_little": False, **dict.fromkeys(_SUMMED, 0)},
        )
        day |= {name: day[name] + change[name] for name in _SUMMED}
        day["is_too_little"] |= change["is_too_little"]
    return sorted(days.values(), key=lambda day: (day["usage_date"], day["currency"] or ""))


def _too_little(changes: Sequence[Mapping[str, Any]]) -> StepError | None:
    """The error if a day would lose more than half of its rows or of its cost before credits, else None."""
    lost = [change for change in changes if change["is_too_little"]]
    if not lost:
        return None
    days = [_what_is_kept(change) for change in lost[:MAX_DAYS_NAMED]]
    more = f"; and {len(lost) - MAX_DAYS_NAMED} more" if len(lost) > MAX_DAYS_NAMED else ""
    message = (
        f"Nothing was published, for a day would lose more than half of what it holds: {'; '.join(days)}{more}. "
        f"Check that the export is complete and is the right one; if less is right, run it again with {ACCEPT_LESS}: true."
    )
    return StepError(message, is_retryable=True, metadata={"too_little": [_moved(change) | _rows_of(change) for change in lost]})


def _what_is_kept(change: Mapping[str, Any]) -> str:
    currency = f" {change['currency']}" if change["currency"] else ""
    rows = f"{change['usage_date']} would keep {change['rows_after']} of {change['rows_before']}{currency} rows"
    return f"{rows} and {change['cost_after']:.2f} of {change['cost_before']:.2f}{currency}" if change["cost_before"] else rows


def _rows_of(change: Mapping[str, Any]) -> dict[str, object]:
    return {"rows_before": change["rows_before"], "rows_after": change["rows_after"]}


def _cost_move(change: Mapping[str, Any], final_days: Sequence[date]) -> CostMove:
    return CostMove(
        usage_date=change["usage_date"],
        currency=change["currency"],
        before=change["net_before"],
        after=change["net_after"],
        was_final=change["usage_date"] in final_days,
    )


def _moved(change: Mapping[str, Any]) -> dict[str, object]:
    before, after = float(change["net_before"]), float(change["net_after"])
    return {
        "usage_date": change["usage_date"].isoformat(),
        "currency": change["currency"],
        "cost_before": round(before, DIGITS),
        "cost_after": round(after, DIGITS),
        "cost_moved": round(after - before, DIGITS),
    }
