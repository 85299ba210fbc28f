"""The queue's rules that an installation sets: how runs age, and the limits of plans that set none."""

from dataclasses import dataclass

from services.platform.plan import DEFAULT_PLAN, PlanLimits
from services.scheduler.settings import AGEING_SECONDS


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueRules:
    """Parameters of the statements that order and bound the queue."""

    ageing_seconds: int = AGEING_SECONDS
    """A waiting run counts as one priority higher for each multiple of this that the clock has passed since it was queued; 0: never."""
    plan_defaults: PlanLimits = DEFAULT_PLAN

    @property
    def order(self) -> dict[str, int]:
        """As parameters of a statement that orders the queue."""
        return {"max_priority": self.plan_defaults.max_priority, "ageing_seconds": self.ageing_seconds}

    @property
    def bounds(self) -> dict[str, int]:
        """As parameters of a statement that chooses due schedules."""
        return {"max_priority": self.plan_defaults.max_priority, "max_queued_runs": self.plan_defaults.max_queued_runs}
