"""`notify.slack`, `notify.webhook`, `notify.email`: queue a message about the run and return.

Meant for a template's final steps: with `when: always` they report how the run ends, with `when: on_failure` only that it failed. Among the
work steps, the run is still RUNNING.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, cast

from services.executor.ledger.moves import CostMove, MoveLimits
from services.executor.notify.message_template import MessageTemplate, for_slack, one_line
from services.executor.notify.notification import Notification, NotificationKind, Report
from services.executor.steps.bigquery_publish import COST_MOVES_OUTPUT
from services.executor.templates.parameters import ParameterType
from services.executor.templates.section import Section
from services.executor.templates.step import Scope, Step, StepContext, StepResult
from services.platform.identifiers import EMAIL

RUN_WORDS = (
    *("tenant_id", "pipeline", "pipeline_logging_id", "attempt", "status"),
    *("rows_processed", "error_message", "started_at", "reported_at", "summary"),
)
"""Names that a message may use besides the template's parameters."""
COST_CHANGES = "cost_changes"
"""One more such name: by how much the cost of published days has changed, see `changes_above`."""
LIMITS, LARGEST = "changes_above", 1e15
MOVES_NAMED = 20
ERROR_LENGTH = 1000
SUBJECT_LENGTH = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Notify:
    """A step of a `notify` type."""

    OUTPUTS: ClassVar[Mapping[str, str]] = {}
    kind: NotificationKind
    message: MessageTemplate
    subject: MessageTemplate
    to: MessageTemplate
    """For EMAIL: an address, or the one parameter that holds it."""
    limits: MoveLimits | None
    """Only if a published day's cost has moved by more than this; None: always."""

    async def run(self, context: StepContext) -> StepResult:
        """Never waits and never fails; delivery happens later."""
        report, moves = report_of(context), _moves(context)
        if self.limits and not (moves := self.limits.over(moves)):
            return StepResult(metadata={"notification": "not_due", "reason": "no day's cost has moved by more than changes_above"})
        words = _words(report, context) | {COST_CHANGES: "; ".join(move.text for move in moves[:MOVES_NAMED])}
        to = self.to.fill(words)
        if self.kind is NotificationKind.EMAIL and not to:
            return StepResult(metadata={"notification": "dropped", "reason": "no address was given"})
        notification = Notification(
            id=f"{report.pipeline_logging_id}_{context.step_id}",
            kind=self.kind,
            report=report,
            text=self.message.fill(words, for_slack if self.kind is NotificationKind.SLACK else str),
            to=to,
            subject=one_line(self.subject.fill(words), SUBJECT_LENGTH),
        )
        accepted = context.tools.notifier.accept(notification)
        return StepResult(metadata={"notification": "queued" if accepted else "dropped"})


def report_of(context: StepContext) -> Report:
    """The run's state at this step."""
    run, outcome = context.run, context.outcome
    return Report(
        tenant_id=run.tenant_id,
        pipeline=run.pipeline_id.removeprefix(f"{run.tenant_id}-"),
        pipeline_logging_id=run.pipeline_logging_id,
        attempt=run.attempt,
        status=outcome.status,
        dates={name: value.isoformat() for name, value in context.parameters.items() if isinstance(value, date)},
        rows_processed=outcome.rows_processed,
        error_message=outcome.error_message[:ERROR_LENGTH] if outcome.error_message else None,
        started_at=run.started_at,
        reported_at=context.tools.clock.now(),
    )


def _moves(context: StepContext) -> list[CostMove]:
    """By how much published days have moved, if this step needs the step that published them."""
    moves = cast("Sequence[Mapping[str, Any]]", context.outputs.get(COST_MOVES_OUTPUT, ()))
    return [CostMove.of(move) for move in moves]


def _words(report: Report, context: StepContext) -> dict[str, str]:
    parameters = {name: "" if value is None else str(value) for name, value in context.parameters.items()}
    found = {name: getattr(report, name) for name in RUN_WORDS}
    return {**parameters, **{name: "" if value is None else str(value) for name, value in found.items()}}


def parse_slack(section: Section, scope: Scope) -> Step:
    """A message for the tenant's Slack webhook."""
    return _notify(NotificationKind.SLACK, section, scope)


def parse_webhook(section: Section, scope: Scope) -> Step:
    """A message for the tenant's webhook."""
    return _notify(NotificationKind.WEBHOOK, section, scope)


def parse_email(section: Section, scope: Scope) -> Step:
    """`to` is an address, or `{parameter}` of type email, which is checked when the run is requested."""
    to = section.text("to")
    emails = {f"{{{spec.name}}}" for spec in scope.parameters.values() if spec.type is ParameterType.EMAIL}
    if to not in emails and not EMAIL.fullmatch(to):
        raise section.error("to must be one address of mail, or {name} of a parameter of type email", "to", may_follow=to.startswith("{"))
    return _notify(NotificationKind.EMAIL, section, scope, to=to)


def _notify(kind: NotificationKind, section: Section, scope: Scope, *, to: str = "") -> Notify:
    def wording(key: str, text: str) -> MessageTemplate:
        try:
            return MessageTemplate.parse(text, {*RUN_WORDS, COST_CHANGES, *scope.parameters})
        except ValueError as error:
            raise section.error(f"{key}: {error}", key, may_follow=True) from error

    limits = _limits(section)
    usual = "{pipeline}: the cost of published days has changed: {cost_changes}" if limits else "{summary}"
    subject = section.text("subject", "{pipeline} {status}") if kind is NotificationKind.EMAIL else ""
    return Notify(
        kind=kind,
        message=wording("message", section.text("message", usual)),
        subject=wording("subject", subject),
        to=wording("to", to),
        limits=limits,
    )


def _limits(section: Section) -> MoveLimits | None:
    """Reads `changes_above: {amount, share}`."""
    if LIMITS not in section.keys:
        section.scalar(LIMITS)  # marks the key as known where it is absent
        return None
    entry = section.section(LIMITS, LIMITS)
    limits = MoveLimits(amount=_decimal(entry, "amount"), share=_decimal(entry, "share"))
    entry.finish()
    if limits.amount is None and limits.share is None:
        raise entry.error(f"{LIMITS} needs an amount, or a share such as 0.1, or both")
    return limits


def _decimal(section: Section, key: str) -> Decimal | None:
    value = section.scalar(key)
    if value is None:
        return None
    if isinstance(value, bool | str) or not 0 <= value < LARGEST:
        raise section.error(f"{key} must be a number from 0 to {LARGEST:.0e}", key)
    return Decimal(str(value))
