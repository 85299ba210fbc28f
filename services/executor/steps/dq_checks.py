"""`dq.checks`: one query measures all checks of the step; a failed check of severity `error` fails the run, one of `warn` is only
recorded.

Where the step needs one that stages rows by a script (`bigquery.sql`), the last statement of that script measures the checks, see
`beside.checked_script`: both are one job.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from services.executor.checks.columns import Column
from services.executor.checks.compose import Composed, compose, shown
from services.executor.checks.kinds import KINDS, Known, read_columns
from services.executor.checks.load_kinds import Volume
from services.executor.checks.measure import Rule
from services.executor.checks.verdicts import SEVERITIES, Check, Verdict, judge, refuse_errors, shown_samples
from services.executor.errors import StepError
from services.executor.records import DqResult
from services.executor.steps.beside.checked_script import CHECKS
from services.executor.steps.bigquery_sql import Sql
from services.executor.templates.faults import Faults
from services.executor.templates.name import SEGMENT
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepContext, StepDryRun, StepResult
from services.platform.bigquery.ddl import Table
from services.platform.bigquery.sql import Block

CUSTOM = "custom"
"""The kind of a check that a block of the template measures."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """A step of type `dq.checks`."""

    OUTPUTS: ClassVar[Mapping[str, str]] = {}
    query: Composed
    table: str
    """The table that the checked rows are for."""
    published: Table | None
    """`table`, if the query reads it."""
    checks: tuple[Check, ...]
    first: Sql | None = None
    """The step before it that stages rows, with the checks in its script."""

    async def run(self, context: StepContext) -> StepResult:
        """Records the verdicts before it acts on them. Raises StepError if a check of severity error failed."""
        await self._make_table(context)
        return self._result(context, (await context.query(self.query.block, self.query.values)).rows)

    def joined(self, first: Step) -> "Checks":
        """These checks, which can be measured along with what `first` does, if it stages rows by a script."""
        staging = first.with_checks(self.query) if isinstance(first, Sql) else None
        return replace(self, first=staging) if staging else self

    async def run_both(self, first: StepContext, own: StepContext) -> tuple[StepResult, StepResult | StepError]:
        """The result of the step that stages rows, and the result of the checks or why they failed: a failed check is no error of the first
        step. `first` is the context of the first step, which is charged; `own` is the context of this step. Raises as `run` of the first
        step does.
        """
        if self.first is None:
            raise TypeError("there is no script that measures these checks")
        await self._make_table(own)
        both = replace(first, outputs=own.outputs, staging=own.staging)
        result, answer = await self.first.staged(both, self.query.values)
        try:
            return result, self._result(own, answer[CHECKS])
        except StepError as failed:
            return result, failed

    def _result(self, context: StepContext, measured: Sequence[Mapping[str, Any]]) -> StepResult:
        """Records the verdicts. Raises StepError."""
        tools, run = context.tools, context.run
        verdicts = [one for one in judge(self.checks, measured) if not (one.check.of_whole_days and context.reads_parts_of_days)]
        tools.store.record_verdicts(run.tenant_id, [self._row(verdict, context) for verdict in verdicts])
        refuse_errors(verdicts)
        failed = [verdict for verdict in verdicts if not verdict.passed]
        summary = {"passed": len(verdicts) - len(failed), "warnings": [verdict.check.name for verdict in failed]}
        return StepResult(metadata=summary | shown_samples(verdicts))

    async def dry_run(self, context: StepContext) -> StepDryRun:
        """Estimates the query."""
        await self._make_table(context)
        return await context.dry_run(self.query.block, self.query.values)

    @property
    def tables(self) -> tuple[Table, ...]:
        """The published one, if the query reads it."""
        return (self.published,) if self.published else ()

    async def _make_table(self, context: StepContext) -> None:
        await context.tools.store.ensure_tables(context.run.tenant_id, self.tables)

    def _row(self, verdict: Verdict, context: StepContext) -> DqResult:
        return DqResult(
            dq_result_id=str(uuid.uuid4()),
            tenant_id=context.run.tenant_id,
            user_id=context.run.user_id,
            pipeline_logging_id=context.run.pipeline_logging_id,
            step_id=context.step_id,
            table_name=self.table,
            check_name=verdict.check.name,
            severity=verdict.check.severity,
            status="PASSED" if verdict.passed else "FAILED",
            observed_value=verdict.observed_value,
            threshold=verdict.check.expect,
            failing_rows=verdict.failing_rows,
            sample_rows=verdict.sample,
            executed_at=context.tools.clock.now(),
        )


def parse(section: Section, scope: Scope) -> Step:
    """Reads `checks`, `staging`, `table`, `sample` and `sql`. Raises TemplateError."""
    published, entries = scope.table(section), section.sections("checks", "a check")
    if not entries:
        raise section.error("dq.checks needs at least one check in `checks`")
    faults = Faults()
    kinds = [faults.attempt(partial(entry.text, "kind", CUSTOM, among={CUSTOM, *KINDS}), "") for entry in entries]
    known = _known(section, scope, published) if set(kinds) != {CUSTOM} else None
    if known is None and (needless := {"staging", "sample"} & set(section.keys)):
        problem = "only declared checks read `staging` and `sample`: a custom block names its tables itself"
        raise section.error(problem, min(needless))
    sample = read_columns(section, "sample", known.staging) if known else ()
    reader = _Reader(section=section, scope=scope, known=known, sample=sample)
    for entry, kind in zip(entries, kinds, strict=True):
        if kind:
            faults.attempt(partial(reader.read, entry, kind), None)
    faults.raise_all()
    checks, rules, blocks = reader.checks, reader.rules, reader.blocks
    if "sql" in section.keys and not any(kind == CUSTOM and "sql" not in entry.keys for entry, kind in zip(entries, kinds, strict=True)):
        raise section.error("no check is measured by this block: each has a `kind`, or a `sql` of its own", "sql")
    return Checks(
        query=compose(rules, list(blocks.values()), staging=known.staging if known else None, sample=sample),
        table=section.text("table"),
        published=published if any(isinstance(rule, Volume) for rule in rules.values()) or _is_read(published, blocks.values()) else None,
        checks=tuple(checks.values()),
    )


@dataclass(kw_only=True, slots=True)
class _Reader:
    """Reads the checks of a step, one after the other."""

    section: Section
    scope: Scope
    known: Known | None
    sample: tuple[Column, ...]
    checks: dict[str, Check] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)

    def read(self, entry: Section, kind: str) -> None:
        """Raises TemplateError."""
        check = Check(name=entry.text("name"), severity=entry.text("severity", "error", among=SEVERITIES), expect=entry.text("expect", ""))
        if check.name in self.checks:
            raise entry.error(f"the check {check.name} occurs twice", "name")
        if self.known is None or kind == CUSTOM:
            entry.text("expect")
            holder = entry if entry.text("sql", "") else self.section
            block = self.scope.block(holder)
            self.blocks[holder.text("sql")] = block
        else:
            if not SEGMENT.fullmatch(check.name):
                raise entry.error(f"the name `{check.name}` must be lower-case letters, digits and underscores", "name")
            rule = self.rules[check.name] = KINDS[kind](entry, self.known)
            check = replace(
                check,
                expect=check.expect or rule.expect,
                sampled=tuple(one.path for one in shown(rule, self.sample)),
                of_whole_days=isinstance(rule, Volume),
            )
        self.checks[check.name] = check
        entry.finish()


def _is_read(table: Table, blocks: Iterable[Block]) -> bool:
    return any(table.name in block.read for block in blocks)


def _known(section: Section, scope: Scope, published: Table) -> Known:
    staging = scope.staging[section.text("staging", among=scope.staging)]
    return Known(
        staging=staging, table=section.text("table"), create=published.create, covers_days=scope.covers_days, outputs=scope.outputs
    )
