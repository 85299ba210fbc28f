"""Why a queued run is not running yet: a decision over its place in the queue, without I/O. `now` is passed in."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuePosition:
    """A run's place in the queue, and what its tenant's quota leaves now."""

    queue_state: str
    """QUEUED or PROCESSING."""
    not_before: datetime | None
    processing_started_at: datetime | None
    """When it was claimed."""
    schedule_paused: bool
    """Its schedule exists and is not active."""
    tenant_runnable: bool
    """Tenant and subscription are ACTIVE."""
    units_left: int | None
    """Runs that the daily and monthly limits still allow; None: unlimited."""
    slots_left: int | None
    """Runs that the concurrent limit still allows; None: unlimited."""
    runs_before: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """What a run waits for."""

    reason: str
    """A value of `ScheduledRun.waiting_for`, which the proto lists."""
    message: str


def waiting(position: QueuePosition | None, *, retry_count: int, started_at: datetime | None, now: datetime) -> Waiting | None:
    """What the run waits for, or None. If there are several reasons, it is the one that must change first. `started_at`: when the executor
    last began an attempt of it.

    A run that has failed before already holds its unit of the day, so the daily and the monthly limit do not apply.
    """
    if position is None:
        return None
    if position.queue_state == "PROCESSING":
        if started_at and position.processing_started_at and started_at >= position.processing_started_at:
            return None
        return Waiting(reason="STARTING", message="It was taken from the queue and is being started.")
    return _turn(position, retry_count, now)


def _turn(position: QueuePosition, retry_count: int, now: datetime) -> Waiting:
    if not position.tenant_runnable:
        return Waiting(reason="TENANT_NOT_ACTIVE", message="The tenant or its subscription is not ACTIVE. It goes on once both are.")
    if position.schedule_paused:
        return Waiting(reason="SCHEDULE_PAUSED", message="Its schedule is paused. It goes on once the schedule's is_active is true again.")
    if not retry_count and position.units_left is not None and position.units_left <= 0:
        message = (
            "The daily or monthly limit, of runs or of their cost, is used up. It goes on when the limit resets; GET .../quota says when."
        )
        return Waiting(reason="DAILY_OR_MONTHLY_LIMIT", message=message)
    if position.not_before is not None and position.not_before > now:
        why = "It has failed and is tried again" if retry_count else "It was refused for now and is tried again"
        return Waiting(reason="BACKOFF", message=f"{why} not before {position.not_before.isoformat(timespec='seconds')}.")
    if position.slots_left is not None and position.slots_left <= 0:
        return Waiting(
            reason="CONCURRENT_LIMIT",
            message="As many runs as the plan allows at once are running, or it allows none (GET .../quota). It goes on when one ends.",
        )
    match position.runs_before:
        case 0:
            before = "It is next"
        case 1:
            before = "1 ready run is before it"
        case several:
            before = f"{several} ready runs are before it"
    return Waiting(reason="TURN", message=f"{before}; the queue is processed every few minutes.")
