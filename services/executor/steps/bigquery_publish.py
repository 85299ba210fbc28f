"""`bigquery.publish`: one transaction replaces the run's days in the tenant's table by the staged and checked rows, unless the run has
ended.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Final, Literal

import structlog

from services.executor.errors import FenceLost, StepError
from services.executor.ledger.day_state import state_of
from services.executor.ledger.days import states_param
from services.executor.ledger.moves import COST_MOVES
from services.executor.ledger.store import DAYS as DAYS_TABLE
from services.executor.staging.table_after import TableAfter
from services.executor.steps.beside.joint_script import along, of_derived, refuses_derived
from services.executor.steps.ledger_script import SOURCE, STATES_PARAM, LedgerKind
from services.executor.steps.publish_changes import by_day, by_month, cost_move, moved, too_little
from services.executor.steps.publish_script import ACCEPT_LESS, OUTSIDE, OWN, Replacement, publish_scripts
from services.executor.steps.run_end_script import RUN_ROWS, EndOfRun
from services.executor.templates.step import LastStep, Step, StepContext, StepDryRun, StepResult
from services.platform.backoff import backoff
from services.platform.bigquery import errors as bigquery
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.sql import Block
from services.platform.metrics.runs import published

MAX_WITHIN: Final = 1
"""How many tries are made to end the run within the transaction."""
COST_MOVES_OUTPUT: Final = "cost_moves"
SUPERSEDED_MESSAGE: Final = (
    "Nothing was published: of one of these days a newer reading is published than this run has made. Another run was faster: run this "
    "again if it should be read once more."
)
LESS_IS_THERE: Final = " Or rows have been taken out of the export: run this with accept_less to publish what is left."
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
    """What its tables will hold, for steps that run concurrently with it."""
    rows: Block
    """The query for the rows."""
    first: "Publish | None" = None
    """The publish of the source's own table, which this one can do along with its own."""
    joint: Mapping[EndOfRun, Block] = field(default_factory=dict)
    """The scripts for both."""

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
        return self._result(context, await self._published(context, self.scripts, self._own(context)))

    def joined(self, first: Step) -> "Publish":
        """This publish, which can do `first` along with its own, if its table is derived from that one's."""
        if not isinstance(first, Publish) or not first.tables_after:
            return self
        derived = along(self.replacement, self.rows, first.replacement, first.tables_after[0])
        return replace(self, first=first, joint=publish_scripts(first.replacement, first.rows, derived)) if derived else self

    async def run_both(self, first: StepContext, own: StepContext) -> tuple[StepResult, StepResult | None]:
        """The results of the first publish and of this one, by one transaction. If this one cannot be done along with the first, the first
        is published alone and the second result is None: then this step must be run, and says what is wrong. `first` is the context of the
        first step, which is charged; `own` is the context of this step. Raises as `run` of the first step does.
        """
        if self.first is None:
            raise TypeError("there is no publish to do along with this one")
        await asyncio.gather(self.first._make_tables(first), self._make_tables(own))  # noqa: SLF001 - its own kind
        both = replace(first, outputs=own.outputs, staging=own.staging)
        answer = dict(await self.first._published(both, self.joint, {**self.first._own(both), **self._own(own)}))  # noqa: SLF001
        is_done = answer["published"] or answer["ended_at"] is not None
        if not is_done and refuses_derived(answer, accepts_less=first.parameters[ACCEPT_LESS] is True):
            return await self.first.run(replace(first, last=None)), None
        result = self.first._result(first, answer)  # noqa: SLF001
        return result, self._result(own, of_derived(answer))

    async def _published(self, context: StepContext, scripts: Mapping[EndOfRun, Block], own: Mapping[str, object]) -> Mapping[str, Any]:
        """The answer of the script. Raises StepError for a row outside the run."""
        # One publish into a table at a time: BigQuery would cancel all but one of the transactions, each after seconds of work.
        async with context.tools.publish_locks.of(context.run.tenant_id, self._lock):
            try:
                if context.last is None:
                    return (await context.query(scripts[EndOfRun.LATER], own)).only_row
                return await self._publish_and_end(context, context.last, scripts, own)
            except bigquery.BadRequest as error:
                if OUTSIDE not in str(error):
                    raise
                name = scripts[EndOfRun.LATER].name.removeprefix("publish_")
                message = f"Nothing was published, for a row for {name} lies outside the days or the provider of this run."
                raise StepError(f"{message} Correct the template's query.") from error

    def _result(self, context: StepContext, outcome: Mapping[str, Any]) -> StepResult:
        """What the script's answer means. Raises FenceLost, StepError."""
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

    async def _publish_and_end(
        self, context: StepContext, last: LastStep, scripts: Mapping[EndOfRun, Block], own: Mapping[str, object]
    ) -> Mapping[str, Any]:
        own = {RUN_ROWS: last.rows_processed, **own}
        async with context.tools.store.ends.quiet(context.run.tenant_id):
            for number, wait in enumerate(backoff(first=0.1, most=8.0), 1):
                way = EndOfRun.WITHIN if number <= MAX_WITHIN else EndOfRun.AFTER
                try:
                    # Not repeated by the client: the time of the end is computed from the time at which this was sent.
                    answer = (await context.query(scripts[way], own, once=True)).only_row
                    if not answer["lock_is_missing"] or answer["ended_at"] is not None:
                        return answer
                    _log.info("publish_lock_missing", table=self.replacement.table.name)
                except bigquery.TransactionCancelled as cancelled:
                    _log.info("publish_cancelled", table=self.replacement.table.name, way=way.name, error=str(cancelled.__cause__))
                if way is EndOfRun.AFTER:
                    await asyncio.sleep(wait)
        raise AssertionError("backoff never ends")

    def _superseded(self, *, is_newer_there: bool) -> StepResult:
        """The result if another run was faster and has done this run's work. Raises StepError if it has not."""
        is_derived = self.replacement.ledger is not None and self.replacement.ledger.kind is LedgerKind.DERIVED
        if not is_newer_there:
            less = "" if self.replacement.by_months else LESS_IS_THERE
            raise StepError(STALE_MESSAGE if is_derived else f"{SUPERSEDED_MESSAGE}{less}", is_retryable=True)
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
