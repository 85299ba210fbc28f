"""What a tenant may still run: decisions over one row of the ledger, without I/O."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from services.platform.errors import PermissionDenied, ResourceExhausted

type Limit = Literal["DAILY", "MONTHLY", "CONCURRENT"]

CONCURRENT_RETRY = timedelta(seconds=10)
"""A slot may come free at any moment; asking more often than this is no use."""
EXPIRED_FOR = timedelta(days=7)
"""How far back slots are looked for that nobody renews. A run lives for hours at most."""
LIVE_FOR = timedelta(days=2)
"""How far back the rows of runs that are alive may lie: they move into today's row when it is opened, and with the reset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """A tenant's row for one UTC day, with the limits that hold (None: unlimited)."""

    tenant_id: str
    usage_date: date
    pipelines_run_today: int
    pipelines_succeeded_today: int
    pipelines_failed_today: int
    pipelines_run_month: int
    concurrent_pipelines_running: int
    """Slots whose lease has not run out."""
    daily_limit: int | None
    monthly_limit: int | None
    concurrent_limit: int | None
    subscription_active: bool
    held: frozenset[str]
    """Which of the ids that were asked about hold a slot."""


def refusing_limit(usage: Usage, *, is_retry: bool = False) -> Limit | None:
    """The limit that would refuse a run now, the longest-lasting first; None if none would. A retry needs no unit, only a slot."""
    if not is_retry and _reached(usage.pipelines_run_month, usage.monthly_limit):
        return "MONTHLY"
    if not is_retry and _reached(usage.pipelines_run_today, usage.daily_limit):
        return "DAILY"
    return "CONCURRENT" if _reached(usage.concurrent_pipelines_running, usage.concurrent_limit) else None


def refusal(usage: Usage, now: datetime, *, is_retry: bool = False) -> PermissionDenied | ResourceExhausted:
    """Why a run got no slot. Between the refusal and this reading a slot may have come free; then it still says when to try again."""
    if not usage.subscription_active:
        return PermissionDenied("SUBSCRIPTION_NOT_ACTIVE", "This tenant has no ACTIVE subscription. Renew it and try again.")
    limit = refusing_limit(usage, is_retry=is_retry) or "CONCURRENT"
    facts = {"tenant_id": usage.tenant_id, "limit": limit.lower()}
    wait = CONCURRENT_RETRY if limit == "CONCURRENT" else _resets_at(limit, now) - now
    return ResourceExhausted(f"{limit}_LIMIT_REACHED", _why(limit, usage, now), metadata=facts, retry_after=wait)


def next_run(usage: Usage, now: datetime) -> tuple[Limit | None, str]:
    """The limit that would refuse a run now, if any, and in words what would become of it."""
    if not usage.subscription_active:
        return None, "There is no ACTIVE subscription, so nothing runs. Renew it and try again."
    limit = refusing_limit(usage)
    return limit, _why(limit, usage, now) if limit else "The next run is admitted."


def left(used: int, limit: int | None) -> int | None:
    """What a limit still leaves; None: it is unlimited."""
    return None if limit is None else max(0, limit - used)


def _why(limit: Limit, usage: Usage, now: datetime) -> str:
    used, of = {
        "DAILY": (usage.pipelines_run_today, usage.daily_limit),
        "MONTHLY": (usage.pipelines_run_month, usage.monthly_limit),
        "CONCURRENT": (usage.concurrent_pipelines_running, usage.concurrent_limit),
    }[limit]
    if of == 0:
        return f"The plan's {limit.lower()} limit is 0, so no pipeline may run. A larger plan helps at once."
    if limit == "CONCURRENT":
        many = "As many pipelines ran at once as may" if of is None else f"{of} pipelines run at once, as many as may"
        return f"{many}. Try again when one has ended."
    resets = _resets_at(limit, now)
    return f"{used} of {of} pipelines are used up. The count starts again at {resets:%Y-%m-%dT%H:%M:%SZ}; a larger plan helps at once."


def _resets_at(limit: Limit, now: datetime) -> datetime:
    return next_day(now) if limit == "DAILY" else next_month(now)


def next_day(now: datetime) -> datetime:
    """Midnight UTC after `now`: when the daily count starts again."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def next_month(now: datetime) -> datetime:
    """The first of the next month, 00:00 UTC: when the monthly count starts again."""
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _reached(used: int, limit: int | None) -> bool:
    return limit is not None and used >= limit
