"""A dry run of a pipeline: what it would read and cost, and what it would fail with. Nothing is published, and no slot is taken.

Steps look in the order in which they would run. What one would stage is made as an empty table, so that BigQuery can check the SQL of the
steps after it; how much would be in it is added to what that SQL reads.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import structlog
from google.api_core.exceptions import GoogleAPICallError

from services.executor.errors import StepError
from services.executor.runs.execute import context_of, drop_staging
from services.executor.runs.prepared import PreparedRun
from services.executor.sources.credentials import SealedCredentials
from services.executor.templates.step import DryRunnable, StepDryRun, StepResult, Toolbox
from services.executor.templates.template import TemplateStep
from services.platform.bigquery.prices import query_cost
from services.platform.errors import ConvergenceError, ResourceExhausted, Unavailable

MAX_CONCURRENT: Final = 2
"""Dry runs of a tenant."""
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
    """What one step would read."""

    step_id: str
    step_type: str
    bytes_read: int
    cost_usd: float
    metadata: Mapping[str, Any]


@dataclass(kw_only=True, slots=True)
class DryRun:
    """What a dry run found."""

    steps: list[PricedStep] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    """By step, in words for the tenant."""


class DryRunner:
    """Looks at what runs would do."""

    def __init__(self, tools: Toolbox, credentials: SealedCredentials, *, query_usd_per_tib: float) -> None:
        """`tools.workers` should be dry runs' own: those that runs wait for are not theirs to fill."""
        self._tools, self._credentials, self._query_usd_per_tib = tools, credentials, query_usd_per_tib
        self._under_way = Counter[str]()

    async def dry_run(self, prepared: PreparedRun) -> DryRun:
        """What this run would do. Raises FailedPrecondition if there are no credentials for it; Unavailable if something does not answer:
        then nobody knows; ResourceExhausted if the tenant has MAX_CONCURRENT dry runs under way: they spend no quota, so they must not
        stand in others' way.
        """
        tenant_id = prepared.run.tenant_id
        await self._credentials.require(tenant_id, prepared.credentials_provider)
        if self._under_way[tenant_id] >= MAX_CONCURRENT:
            told = f"{MAX_CONCURRENT} dry runs of this tenant are under way. Try again when one has ended."
            raise ResourceExhausted("CONCURRENT_LIMIT_REACHED", told, retry_after=timedelta(seconds=5))
        self._under_way[tenant_id] += 1
        try:
            return await self._dry_run(prepared)
        finally:
            self._under_way[tenant_id] -= 1
            self._under_way += Counter()

    async def _dry_run(self, prepared: PreparedRun) -> DryRun:
        found, results, staged = DryRun(), dict[str, StepResult](), dict[str, int]()
        try:
            for step in prepared.template.steps:
                if not step.is_work or found.problems.keys() & step.ancestors:
                    continue
                seen = await self._dry_run_step(prepared, step, results, found)
                results[step.id] = StepResult(outputs=_zeros(step.action.OUTPUTS), staging=seen.staging if seen else ())
                if seen:
                    size = seen.bytes_read + sum(staged.get(one, 0) for one in step.ancestors)
                    staged[step.id] = seen.staged_bytes
                    cost = seen.cost_usd if seen.cost_usd is not None else query_cost(size, usd_per_tib=self._query_usd_per_tib)
                    found.steps.append(
                        PricedStep(step_id=step.id, step_type=step.type, bytes_read=size, cost_usd=cost, metadata=seen.metadata)
                    )
        finally:
            await drop_staging(prepared, results, self._tools)
        return found

    async def _dry_run_step(
        self, prepared: PreparedRun, step: TemplateStep, results: Mapping[str, StepResult], found: DryRun
    ) -> StepDryRun | None:
        if not isinstance(step.action, DryRunnable):
            return None
        try:
            return await step.action.dry_run(context_of(prepared, step, results, self._tools))
        except Unavailable:
            raise
        except (StepError, ConvergenceError) as error:
            found.problems[step.id] = error.message
        except GoogleAPICallError:
            _log.exception("preview_refused", step=step.id)
            told = "BigQuery refuses this step's SQL. Tell whoever runs this service: the template and the tables do not fit."
            found.problems[step.id] = told
        return None


def _zeros(finds: Mapping[str, str]) -> dict[str, object]:
    return {name: [] if kind.startswith("ARRAY") else ZEROS.get(kind) for name, kind in finds.items()}
