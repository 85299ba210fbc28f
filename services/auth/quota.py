"""What a tenant may still run: decisions over its row of the ledger, without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, Self

from services.platform.errors import PermissionDenied, ResourceExhausted
from services.platform.money import decimals

type Limit = Literal["DAILY", "MONTHLY", "MONTHLY_COST", "CONCURRENT"]

LONGEST_FIRST: Final[tuple[Limit, ...]] = ("MONTHLY_COST", "MONTHLY", "DAILY", "CONCURRENT")
CONCURRENT_RETRY = timedelta(seconds=10)
"""Retry-After for a concurrent-limit refusal: a run may end at any moment, but asking more often is useless."""
RESERVED_FOR = timedelta(days=7)
"""How far back reservations are searched. A run lasts for hours at most."""
LIVE_FOR = timedelta(days=2)
"""How far back live runs may be recorded: they move into today's row when it is opened, and with the reset."""
CENT = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """A tenant's row for one UTC day, with its limits (None: unlimited)."""

    tenant_id: str
    usage_date: date
    pipelines_run_today: int
    pipelines_succeeded_today: int
    pipelines_failed_today: int
    pipelines_run_month: int
    concurrent_pipelines_running: int
    """Reservations whose lease has not expired."""
    daily_limit: int | None
    monthly_limit: int | None
    concurrent_limit: int | None
    cost_usd_month: float
    """What the runs of the month have cost, in US dollars, as far as they are settled."""
    monthly_cost_limit_usd: float | None
    max_export_bytes: int
    """Of the plan: bytes that one run may read of a billing export."""
    subscription_active: bool
    held: frozenset[str]
    """Which of the requested ids hold a reservation."""
    live_runs: frozenset[tuple[str, datetime | None]] = frozenset()
    """The reservations that are not settled, and when their leases end."""
    taken: frozenset[tuple[str, int]] = frozenset()
    """The units that reservations of this day took."""
    uncosted_runs: frozenset[str] = frozenset()
    """Settled, but not what they have cost."""

    @classmethod
    def nothing(cls, tenant_id: str, usage_date: date, *, max_export_bytes: int) -> Self:
        """Of a tenant that has no subscription."""
        return cls(
            tenant_id=tenant_id,
            usage_date=usage_date,
            pipelines_run_today=0,
            pipelines_succeeded_today=0,
            pipelines_failed_today=0,
            pipelines_run_month=0,
            concurrent_pipelines_running=0,
            daily_limit=None,
            monthly_limit=None,
            concurrent_limit=None,
            cost_usd_month=0.0,
            monthly_cost_limit_usd=None,
            max_export_bytes=max_export_bytes,
            subscription_active=False,
            held=frozenset(),
        )

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row of `read_usage`; NULL units are one, as for `settle`."""
        ids = {
            "held": frozenset(row["held"]),
            "live_runs": frozenset((one["reservation_id"], one["lease_expires_at"]) for one in row["live_runs"] or ()),
            "taken": frozenset((one["reservation_id"], 1 if one["units"] is None else one["units"]) for one in row["reservations"] or ()),
            "uncosted_runs": frozenset(row["uncosted_runs"] or ()),
        }
        return cls(**{name: value for name, value in row.items() if name != "reservations"} | ids)


def refusing_limit(usage: Usage, *, is_retry: bool = False) -> Limit | None:
    """The limit that would refuse a run now; None if none would. Of several limits, it is the one that lasts longest. A retry needs no
    unit, only a reservation; it costs as much as any other run.
    """
    reached = [limit for limit in LONGEST_FIRST if _is_reached(limit, usage, is_retry=is_retry)]
    # A limit of 0 lasts until the plan is changed.
    return next((limit for limit in reached if _used(limit, usage)[1] == 0), next(iter(reached), None))


def refusal(usage: Usage, now: datetime, *, is_retry: bool = False) -> PermissionDenied | ResourceExhausted:
    """The error for a refused run. If the limit has become free since, the error still says when to retry; for a limit of 0 it does not,
    because waiting does not help.
    """
    if not usage.subscription_active:
        return PermissionDenied("SUBSCRIPTION_NOT_ACTIVE", "This tenant has no ACTIVE subscription. Renew it and try again.")
    limit = refusing_limit(usage, is_retry=is_retry) or "CONCURRENT"
    facts = {"tenant_id": usage.tenant_id, "limit": limit.lower()}
    wait = None
    if _used(limit, usage)[1] != 0:
        wait = CONCURRENT_RETRY if limit == "CONCURRENT" else _resets_at(limit, now) - now
    return ResourceExhausted(f"{limit}_LIMIT_REACHED", _why(limit, usage, now), metadata=facts, retry_after=wait)


def next_run(usage: Usage, now: datetime) -> tuple[Limit | None, str]:
    """The limit that would refuse a run now, if any, and a text that says what would happen to the run."""
    if not usage.subscription_active:
        return None, "There is no ACTIVE subscription, so nothing runs. Renew it and try again."
    limit = refusing_limit(usage)
    return limit, _why(limit, usage, now) if limit else "The next run is admitted."


def left[Number: (int, float)](used: Number, limit: Number | None) -> Number | None:
    """What is left of a limit; None: unlimited."""
    return None if limit is None else max(limit - limit, limit - used)


def _dollars(amount: float) -> str:
    """With six decimals where two would say 0.00, and more where six would say it."""
    return f"{amount:,.{2 if abs(amount) >= CENT or amount == 0 else decimals(amount, 6)}f}"


def _why(limit: Limit, usage: Usage, now: datetime) -> str:
    used, of = _used(limit, usage)
    if of == 0:
        return f"The plan's {limit.lower().replace('_', ' ')} limit is 0, so no pipeline may run. A larger plan helps at once."
    if limit == "MONTHLY_COST":
        most = of or 0.0
        return (
            f"The runs of this month have cost {_dollars(used)} of {_dollars(most)} USD, {_dollars(used - most)} USD over the limit. "
            f"The sum starts again at {_resets_at(limit, now):%Y-%m-%dT%H:%M:%SZ}; a larger limit helps at once."
        )
    if limit == "CONCURRENT":
        many = "As many pipelines ran at once as may" if of is None else f"{of} pipelines run at once, as many as may"
        return f"{many}. Try again when one has ended."
    resets = _resets_at(limit, now)
    return f"{used} of {of} pipelines are used up. The count starts again at {resets:%Y-%m-%dT%H:%M:%SZ}; a larger plan helps at once."


def _resets_at(limit: Limit, now: datetime) -> datetime:
    return next_day(now) if limit == "DAILY" else next_month(now)


def next_day(now: datetime) -> datetime:
    """Midnight UTC after `now`, when the daily count restarts."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=1)


def next_month(now: datetime) -> datetime:
    """The first of the next month, 00:00 UTC, when the monthly count restarts."""
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _is_reached(limit: Limit, usage: Usage, *, is_retry: bool) -> bool:
    if is_retry and limit in {"MONTHLY", "DAILY"}:
        return False
    used, of = _used(limit, usage)
    return of is not None and used >= of


def _used(limit: Limit, usage: Usage) -> tuple[float, float | None]:
    """How much is used, and of how much; None: unlimited."""
    return {
        "MONTHLY_COST": (usage.cost_usd_month, usage.monthly_cost_limit_usd),
        "MONTHLY": (usage.pipelines_run_month, usage.monthly_limit),
        "DAILY": (usage.pipelines_run_today, usage.daily_limit),
        "CONCURRENT": (usage.concurrent_pipelines_running, usage.concurrent_limit),
    }[limit]
