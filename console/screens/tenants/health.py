"""What an operator should look at, from a tenant's summary. Times are passed in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.gateway.api import Json
from console.web.wording import moment

STALE = timedelta(hours=36)
"""A daily schedule has run since, and has had half a day to be retried."""
OLD_KEY = timedelta(days=365)


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """One tenant, as the list shows it."""

    state: str
    """FAILING, STALE, FRESH, UNUSED, or the tenant's own status if it may not run."""
    key_is_old: bool
    daily_share: float | None
    """How much of today's runs is used, 0 to 1; None: unlimited."""


def health_of(summary: Json, now: datetime) -> Health:
    """Judges one tenant of ListTenants."""
    tenant = summary["tenant"]
    key_made = moment(summary.get("oldest_key_created_at"))
    limit = tenant.get("daily_limit")
    return Health(
        state=_state(summary, tenant, now),
        key_is_old=key_made is not None and now - key_made > OLD_KEY,
        daily_share=None if limit is None else min(summary["runs_today"] / limit, 1.0) if limit else 1.0,
    )


def _state(summary: Json, tenant: Json, now: datetime) -> str:
    if tenant["status"] != "ACTIVE":
        return str(tenant["status"])
    completed, failed = moment(summary.get("last_completed_at")), moment(summary.get("last_failed_at"))
    if failed and (completed is None or failed > completed):
        return "FAILING"
    if completed is None:
        return "UNUSED"
    return "STALE" if now - completed > STALE else "FRESH"


def limits_of(tenant: Json) -> list[tuple[str, Any]]:
    """The plan's limits in words; None: unlimited, or the default of the installation."""
    names = (
        ("Runs a day", "daily_limit"),
        ("Runs a month", "monthly_limit"),
        ("Runs at once", "concurrent_limit"),
        ("Dollars of runs a month", "monthly_cost_limit_usd"),
        ("Schedules", "max_schedules"),
        ("Queued runs", "max_queued_runs"),
        ("Highest priority", "max_priority"),
        ("Calls a minute", "requests_per_minute"),
    )
    return [(name, tenant.get(field)) for name, field in names]
