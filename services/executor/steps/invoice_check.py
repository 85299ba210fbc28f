"""`dq.invoices`: compares what was published of invoice months with the amounts that the tenant has entered of the documents.

It runs after the publish, because it is about whole months, and other runs have published most of a month. Costs are added up for the
months that the run's days may be invoiced in, if the tenant has entered an amount for them. Without such an amount nothing is read. The run
does not depend on it: a difference is a warning. If nothing can be compared, the step completes, and its metadata says why.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar

import structlog

from services.executor.costs.answer import decimal_text
from services.executor.costs.compose import MOST_ROWS
from services.executor.costs.invoices import (
    ComparedInvoice,
    EnteredAmount,
    InvoiceQuestion,
    compare,
    month_end,
    month_text,
    read_month,
    to_sums,
)
from services.executor.costs.looks import INVOICES, Looks
from services.executor.costs.store import SQL
from services.executor.errors import StepError
from services.executor.records import DqResult, Period
from services.executor.templates.period import DAY
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepContext, StepResult
from services.platform.errors import ConvergenceError

CHECK, TABLE, SEVERITY = "invoice_agrees", "focus_cost_daily", "warn"
EXPECT = "BilledCost of each invoice whose document's amount was entered to be that amount, within a cent"
SHOWN = 3
"""How many differences the verdict names."""
NOTHING_ENTERED = StepResult(metadata={"note": "Nothing was compared: no amount of an invoice of these days was entered."})

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class InvoiceCheck:
    """A step of type `dq.invoices`."""

    OUTPUTS: ClassVar[Mapping[str, str]] = {}

    async def run(self, context: StepContext) -> StepResult:
        """Records a verdict if there is something to compare. Raises only what cancels the run."""
        try:
            differences = await _differences(context)
            if differences is None:
                return NOTHING_ENTERED
            context.tools.store.record_verdicts(context.run.tenant_id, [_verdict(differences, context)])
        except (StepError, ConvergenceError) as error:
            return StepResult(metadata={"note": f"Nothing was compared: {error.message}"})
        except Exception:  # noqa: BLE001 - the comparison is optional: the run must not fail because of it
            _log.exception("invoice_check_broke")
            return StepResult(metadata={"note": "Nothing was compared: something broke on our side."})
        return StepResult(metadata={"passed": 0 if differences else 1, "warnings": [CHECK] if differences else []})

    async def foresee(self, context: StepContext) -> StepResult | None:
        """There is nothing to do for a tenant that has never entered an amount: it has no table for them."""
        return None if await _has_invoices(context) else NOTHING_ENTERED


def parse(section: Section, scope: Scope) -> Step:
    """It has no keys of its own. Raises TemplateError."""
    if not scope.covers_days:
        rule = f"dq.invoices compares the months of days: the template must declare a parameter `{DAY}`"
        raise section.error(rule, may_follow=True)
    return InvoiceCheck()


def months_of(period: Period) -> tuple[date, date]:
    """The first days of the first and the last month that the period's days may be invoiced in: late usage is on the next one."""
    return period.first.replace(day=1), month_end(period.last) + timedelta(days=1)


def differences_of(invoices: Sequence[ComparedInvoice], unmatched: Sequence[EnteredAmount]) -> list[str]:
    """What does not agree, in words; empty: all entered amounts agree."""
    wrong = [
        f"{_named(one.entered)}: {decimal_text(one.sums.total)} published, {decimal_text(one.entered.amount)} entered"
        for one in invoices
        if one.entered is not None and one.entered.amount is not None and not one.agrees
    ]
    return wrong + [f"{_named(one)}: nothing published, {decimal_text(one.amount)} entered" for one in unmatched if one.amount is not None]


async def _has_invoices(context: StepContext) -> bool:
    [look] = await Looks(context.tools.bq, known_seconds=0).at(context.run.tenant_id, [INVOICES])
    return look.exists


async def _differences(context: StepContext) -> list[str] | None:
    """None: no amount was entered for these months."""
    period = context.period
    if period is None:
        raise TypeError("the template must run for days")
    if not await _has_invoices(context):
        return None
    first, last = months_of(period)
    rows = (await context.query(SQL["invoice_amounts"])).rows
    entered = [
        one
        for one in map(EnteredAmount.from_row, rows)
        if one.amount is not None and month_text(first) <= one.invoice_month <= month_text(last)
    ]
    if not entered:
        return None
    months = [read_month("invoice_month", one.invoice_month) for one in entered]
    question = InvoiceQuestion(first_month=min(months), last_month=max(months))
    found = await context.query(SQL["invoice_sums"], question.params | {"row_limit": MOST_ROWS})
    return differences_of(*compare(question, to_sums(found.rows), entered))


def _named(entered: EnteredAmount) -> str:
    return " ".join(entered.key)


def _verdict(differences: Sequence[str], context: StepContext) -> DqResult:
    more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
    return DqResult(
        dq_result_id=str(uuid.uuid4()),
        tenant_id=context.run.tenant_id,
        user_id=context.run.user_id,
        pipeline_logging_id=context.run.pipeline_logging_id,
        step_id=context.step_id,
        table_name=TABLE,
        check_name=CHECK,
        severity=SEVERITY,
        status="FAILED" if differences else "PASSED",
        observed_value="; ".join(differences[:SHOWN]) + more if differences else "0",
        threshold=EXPECT,
        failing_rows=len(differences),
        executed_at=context.tools.clock.now(),
    )
