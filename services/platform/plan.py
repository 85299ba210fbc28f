"""The limits of a tenant's plan. Each of them protects the other tenants, so none is ever unlimited."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanLimits:
    """The limits of one tenant. The values here are the defaults; an installation has its own in `CONVERGENCE_PLAN_DEFAULTS`."""

    max_priority: int = 50
    """The highest priority of a schedule, 0 to 100. A run with a higher priority, from before the plan changed, is claimed as if it had
    this one.
    """
    max_schedules: int = 200
    max_queued_runs: int = 1_000
    """Runs that wait in the queue, backfills included."""
    max_watchers: int = 20
    """Open streams of watched runs at one process."""
    requests_per_minute: int = 600
    """Calls to one process, all keys of the tenant together."""
    max_export_bytes: int = 64 * 2**30
    """Bytes that one run may read of a billing export."""

    def overridden(self, stored: Mapping[str, Any]) -> Self:
        """These limits with those of `stored` that are not None: a row of `tenant_subscriptions`, or the fields of a request."""
        given = {name: int(stored[name]) for name in PLAN_LIMITS if stored.get(name) is not None}
        return type(self)(**{**asdict(self), **given})


PLAN_LIMITS = tuple(field.name for field in fields(PlanLimits))
"""The names, as columns of `tenant_subscriptions` and fields of `PutTenantRequest`."""

PLAN_RANGES = {
    "max_priority": (0, 100),
    "max_schedules": (0, 100_000),
    "max_queued_runs": (1, 100_000),
    "max_watchers": (0, 10_000),
    "requests_per_minute": (1, 1_000_000),
    "max_export_bytes": (1, 2**50),
}
"""The least and the most of each, in a plan and in the defaults."""

DEFAULT_PLAN = PlanLimits()
