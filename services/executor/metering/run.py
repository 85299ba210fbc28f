"""Makes the meters of runs."""

from dataclasses import dataclass, field
from typing import Self

from services.executor.metering.cap import RunAllowance, RunCap
from services.executor.metering.labels import run_labels
from services.executor.metering.meter import RunMeter
from services.executor.records import Run
from services.executor.settings import ExecutorSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Metering:
    """How runs are metered: the operator's prices and caps."""

    query_usd_per_tib: float = 0.0
    default: RunCap = field(default_factory=RunCap)
    """For what a template's own cap leaves open."""

    @classmethod
    def of(cls, settings: ExecutorSettings) -> Self:
        """As configured."""
        default = RunCap(bytes_read=settings.run_max_bytes_read or None, cost_usd=settings.run_max_cost_usd or None)
        return cls(query_usd_per_tib=settings.query_usd_per_tib, default=default)

    def meter(self, run: Run, cap: RunCap, allowance: RunAllowance) -> RunMeter:
        """The meter of a run with the `cap` of its template."""
        return RunMeter(
            cap=cap.or_else(self.default),
            allowance=allowance,
            query_usd_per_tib=self.query_usd_per_tib,
            labels=run_labels(run),
        )
