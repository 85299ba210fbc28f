"""A dry run of a pipeline: what it would read and cost, and what it would fail with. Nothing is published, and no reservation is made.

Steps estimate in the order in which they would run. The staging table of a step is created empty, so that BigQuery can check the SQL of
later steps; the bytes that would be in it are added to what that SQL reads.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import structlog
from google.api_core.exceptions import GoogleAPICallError

from services.executor.errors import StepError
from services.executor.metering.cap import CapExceeded
from services.executor.records import Period, RunCost
from services.executor.runs.execute import drop_staging
from services.executor.runs.prepared import PreparedRun
from services.executor.runs.progress import context_of
from services.executor.sources.credentials import SealedCredentials
from services.executor.templates.step import DryRunnable, StepContext, StepDryRun, StepResult, Toolbox
from services.executor.templates.step_reader import TemplateStep
from services.platform.bigquery.prices import query_cost
from services.platform.errors import ConvergenceError, ResourceExhausted, Unavailable

MAX_CONCURRENT: Final = 2
"""Dry runs of a tenant at once."""
ZEROS: Final[Mapping[str, object]] = {
    "INT64": 0,
    "FLOAT64": 0.0,
    "STRING": "",
    "BOOL": False,
    "DATE": date(2000, 1, 1),
    "TIMESTAMP": datetime(2000, 1, 1, tzinfo=UTC),
}

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class PricedStep:
    """The estimate for one step."""

    step_id: str
    step_type: str
    bytes_read: int
    cost_usd: float
    is_paid_by_tenant: bool
    """By the tenant's own project, whose data it reads; else by the platform's."""
    metadata: Mapping[str, Any]


@dataclass(kw_only=True, slots=True)
class DryRun:
    """The result of a dry run."""

    steps: list[PricedStep] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    """Step id -> problem, worded for the tenant."""
    period: Period | None = None
    """The days that were found in the source, for a run that names none: changed days, billing periods."""


class DryRunner:
    """Estimates what runs would do."""

    def __init__(self, tools: Toolbox, credentials: SealedCredentials, *, query_usd_per_tib: float) -> None:
        """`tools.workers` must be a pool for dry runs only, so that they do not take threads from runs."""
        self._tools, self._credentials, self._query_usd_per_tib = tools, credentials, query_usd_per_tib
        self._under_way = Counter[str]()

    async def dry_run(self, prepared: PreparedRun) -> DryRun:
        """Estimates this run, and checks it against `prepared.allowance`. Raises FailedPrecondition without credentials for it; Unavailable
        if a dependency does not answer, so that the result is unknown; ResourceExhausted if the tenant has MAX_CONCURRENT dry runs in
        progress, because dry runs use no quota and must not slow down others.
        """
        tenant_id = prepared.run.tenant_id
        await self._credentials.require(tenant_id, prepared.credentials_provider)
        if self._under_way[tenant_id] >= MAX_CONCURRENT:
            problem = f"{MAX_CONCURRENT} dry runs of this tenant are under way. Try again when one has ended."
            raise ResourceExhausted("CONCURRENT_LIMIT_REACHED", problem, retry_after=timedelta(seconds=5))
        self._under_way[tenant_id] += 1
        try:
            return await self._dry_run(prepared)
        finally:
            self._under_way[tenant_id] -= 1
            self._under_way += Counter()

    async def _dry_run(self, prepared: PreparedRun) -> DryRun:
        found, results, staged = DryRun(), dict[str, StepResult](), dict[str, int]()
        # To find an export, steps may have to read some columns of it.
        meter = self._tools.metering.meter(prepared.run, prepared.template.cap, prepared.allowance)
        try:
            for step in prepared.template.steps:
                if not step.is_work or found.problems.keys() & step.ancestors or _is_unchanged(step, results):
                    continue
                context = replace(context_of(prepared, step, results, self._tools), meter=meter.step(step.id, 1))
                seen = await self._dry_run_step(step, context, found)
                results[step.id] = _as_if_run(step, seen)
                if seen:
                    found.period = found.period or seen.period
                    size = seen.bytes_read + sum(staged.get(one, 0) for one in step.ancestors)
                    staged[step.id] = seen.staged_bytes
                    cost = seen.cost_usd
                    if cost is None:
                        cost = query_cost(size, references=seen.references, usd_per_tib=self._query_usd_per_tib)
                    found.steps.append(
                        PricedStep(
                            step_id=step.id,
                            step_type=step.type,
                            bytes_read=size,
                            cost_usd=cost,
                            is_paid_by_tenant=seen.cost_usd is not None,
                            metadata=seen.metadata,
                        )
                    )
        finally:
            drop_staging(prepared, results, self._tools)
        self._check_cap(prepared, found)
        return found

    def _check_cap(self, prepared: PreparedRun, found: DryRun) -> None:
        """Reports the step at which the run would exceed its cap. What is left of the monthly cost limit is not known here."""
        meter = self._tools.metering.meter(prepared.run, prepared.template.cap, prepared.allowance)
        expected = RunCost()
        for step in found.steps:
            expected += RunCost(bytes_read=step.bytes_read if step.is_paid_by_tenant else 0, cost_usd=step.cost_usd)
            try:
                meter.check(expected, has_begun=False)
            except CapExceeded as exceeded:
                found.problems.setdefault(step.step_id, exceeded.message)
                return

    async def _dry_run_step(self, step: TemplateStep, context: StepContext, found: DryRun) -> StepDryRun | None:
        if not isinstance(step.action, DryRunnable):
            return None
        try:
            return await step.action.dry_run(context)
        except Unavailable:
            raise
        except (StepError, ConvergenceError) as error:
            found.problems[step.id] = error.message
        except GoogleAPICallError:
            _log.exception("preview_refused", step=step.id)
            problem = "BigQuery refuses this step's SQL. Tell the operator of this service: the template and the tables do not fit."
            found.problems[step.id] = problem
        return None


def _is_unchanged(step: TemplateStep, results: Mapping[str, StepResult]) -> bool:
    return any(results[one].is_unchanged for one in step.ancestors if one in results)


def _as_if_run(step: TemplateStep, seen: StepDryRun | None) -> StepResult:
    outputs = _zeros(step.action.OUTPUTS)
    if seen is None:
        return StepResult(outputs=outputs)
    return StepResult(outputs=outputs, staging=seen.staging, period=seen.period, is_unchanged=seen.is_unchanged)


def _zeros(finds: Mapping[str, str]) -> dict[str, object]:
    return {name: [] if kind.startswith("ARRAY") else ZEROS.get(kind) for name, kind in finds.items()}
