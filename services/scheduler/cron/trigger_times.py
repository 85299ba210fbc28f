"""When the trigger job comes, by its own cron expression. The expression is in UTC, as in Cloud Scheduler. Pure."""

from datetime import datetime, timedelta
from typing import Final

from services.scheduler.cron.expression import next_after

HOURLY: Final = "0 * * * *"
_TICK: Final = timedelta(microseconds=1)


def next_trigger(trigger_cron: str, now: datetime) -> datetime:
    """The first trigger after `now`, in UTC. Raises InvalidArgument for a bad expression."""
    return next_after(trigger_cron, "UTC", now)


def trigger_at(trigger_cron: str, fire_time: datetime) -> datetime:
    """The trigger that queues a fire time: the first one at it or after it, in UTC. Raises as `next_trigger` does."""
    return next_trigger(trigger_cron, fire_time - _TICK)
