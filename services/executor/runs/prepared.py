"""From a request to a run that can begin. Prepared once, used by dry run, start, idempotent start and execution."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Self

from services.clouds.own_resources import NOT_YOURS, OwnResources
from services.executor.metering.cap import NO_LIMITS, RunAllowance
from services.executor.records import Period, Run, RunOutcome, RunStatus
from services.executor.templates.catalog import Templates
from services.executor.templates.faults import Fault
from services.executor.templates.name import PipelineName
from services.executor.templates.parameters import ParameterType, Value, to_json
from services.executor.templates.template import Template
from services.platform.clock import Clock
from services.platform.errors import ConvergenceError, FailedPrecondition, InvalidArgument, NotFound
from services.platform.tracing import tracer

USUAL_WAIT = timedelta(hours=1)
NO_RESOURCES = OwnResources()
FAULTS_SHOWN, FAULT_LENGTH = 5, 300
"""The most faults of a broken template in an error message: gRPC clients accept 8 KiB of trailers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """A caller's request for a run, unchecked."""

    pipeline_logging_id: str
    tenant_id: str
    name: PipelineName | None
    """None: the requested name is no valid name."""
    given: Mapping[str, object]
    """The parameters, as JSON values."""
    user_id: str | None = None
    trigger_type: str = "api"
    trigger_by: str = "api"
    run_id: str | None = None
    attempt: int = 1
    fire_day: date | None = None
    """The UTC day of a scheduled run's fire time, to which words such as `yesterday` are relative; None: the day of the call."""
    start_by: datetime | None = None
    """Until when it must be admitted; None: at any time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedRun:
    """A run with checked template and parameters. Its row is not written yet, or it is `run`."""

    run: Run
    """Its `claimed_by` and `trace_id` are random: no other preparation has the same."""
    template: Template
    given: Mapping[str, object]
    """The parameters as given by the caller, JSON values."""
    values: Mapping[str, Value]
    """The checked parameters, with defaults filled in."""
    period: Period | None
    """The days that it covers; None: its template does not run for days."""
    start_by: datetime | None = None
    """As in its request."""
    allowance: RunAllowance = NO_LIMITS
    """What the tenant's plan leaves it, known once it is admitted."""
    requested_at: float = field(default_factory=time.monotonic, compare=False)
    """Monotonic seconds."""

    @property
    def credentials_provider(self) -> str:
        """The provider whose credentials it uses, e.g. GCP."""
        return self.template.name.credentials_provider

    def parameters_seen_from(self, moment: datetime) -> Mapping[str, object]:
        """The parameters, defaults filled in, as JSON values, as if the run had been requested through the API at `moment`."""
        return to_json(self.template.values_of(self.given, now=moment))

    def with_id(self, pipeline_logging_id: str) -> Self:
        """The same run with another id."""
        return replace(self, run=replace(self.run, pipeline_logging_id=pipeline_logging_id))

    def admitted(self, allowance: RunAllowance) -> Self:
        """The same run, which may use as much as this."""
        return replace(self, allowance=allowance)

    def starting_at(self, now: datetime) -> Self:
        """The same run, started at `now`."""
        deadline = now + (self.run.deadline_at - self.run.started_at)
        return replace(self, run=replace(self.run, started_at=now, deadline_at=deadline))

    @property
    def latest_work(self) -> datetime:
        """The latest time at which its work may begin: its whole timeout is left before its deadline."""
        return self.run.deadline_at - timedelta(seconds=self.template.timeout_seconds)

    def overdue(self) -> RunOutcome:
        """The outcome if it works longer than its timeout."""
        message = f"The run took longer than {self.template.timeout_seconds} s and was stopped."
        return RunOutcome(status=RunStatus.FAILED, error_message=message)

    def waited_too_long(self) -> RunOutcome:
        """The outcome if it got no working place in time."""
        waited = max(0.0, (self.latest_work - self.run.started_at).total_seconds())
        message = (
            f"The run waited {waited:.0f} s for a working place and was ended before it began: the executor had too many runs at once. "
            "Run it again later; if that happens often, tell the operator of this service (CONVERGENCE_MAX_CONCURRENT_RUNS)."
        )
        return RunOutcome(status=RunStatus.FAILED, error_message=message)


def no_template(faults: Sequence[Fault]) -> ConvergenceError:
    """The error for a template that cannot be run: it does not exist, or these are its faults."""
    if not faults:
        return NotFound("TEMPLATE_NOT_FOUND", "There is no such pipeline. GET /api/v1/pipelines/templates lists what can be run.")
    shown = [str(fault)[:FAULT_LENGTH] for fault in faults[:FAULTS_SHOWN]]
    more = f"; and {len(faults) - len(shown)} more" if len(faults) > len(shown) else ""
    message = (
        f"This template cannot be run until its author has mended it: {'; '.join(shown)}{more}. `make check-template` names all faults."
    )
    return FailedPrecondition("TEMPLATE_BROKEN", message, metadata={"faults": str(len(faults))})


class RunPreparer:
    """Checks requests against the current templates. No I/O."""

    def __init__(self, catalog: Templates, clock: Clock, *, wait: timedelta = USUAL_WAIT, own: OwnResources = NO_RESOURCES) -> None:
        """`wait`: how long a run may wait for a working place. Its `deadline_at` is that much later than its timeout alone: the timeout
        counts from the start of work, and no later statement has to say when that was. `own`: where no tenant's export lies.
        """
        self._catalog, self._clock, self._wait, self._own = catalog, clock, wait, own

    @property
    def templates(self) -> Mapping[PipelineName, Template]:
        """Those that can be run."""
        return self._catalog.templates

    def prepare(self, request: RunRequest) -> PreparedRun:
        """The run as it would begin now. Raises NotFound, FailedPrecondition if the template is broken, or InvalidArgument naming
        `parameters.x`.
        """
        now, name = self._clock.now(), request.name
        template = self._catalog.templates.get(name) if name else None
        if template is None:
            raise no_template(self._catalog.faults_of(name) if name else ())
        is_scheduled = request.trigger_type != "api"
        values = template.values_of(request.given, now=now, fire_day=request.fire_day, scheduled=is_scheduled)
        period = template.period_of(values)
        template.check_days(request.given, values, now=now)
        self._check_exports(template, values)
        run = Run(
            pipeline_logging_id=request.pipeline_logging_id,
            tenant_id=request.tenant_id,
            pipeline_id=template.name.pipeline_id(request.tenant_id),
            user_id=request.user_id,
            trigger_type=request.trigger_type,
            trigger_by=request.trigger_by,
            run_id=request.run_id,
            attempt=request.attempt,
            parameters=to_json(values),
            started_at=now,
            deadline_at=now + self._wait + timedelta(seconds=template.timeout_seconds),
            claimed_by=str(uuid.uuid4()),
            trace_id=tracer.new_trace_id(),
        )
        return PreparedRun(run=run, template=template, given=request.given, values=values, period=period, start_by=request.start_by)

    def _check_exports(self, template: Template, values: Mapping[str, Value]) -> None:
        """Checked before anything is reserved. Exports that are found by listing are checked where they are read."""
        for spec in template.parameters:
            is_export = spec.type in {ParameterType.TABLE, ParameterType.EXPORT}
            if is_export and self._own.has_export(template.name.credentials_provider, str(values.get(spec.name, ""))):
                raise InvalidArgument(f"parameters.{spec.name}", NOT_YOURS)
