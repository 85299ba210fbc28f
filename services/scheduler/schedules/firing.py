"""When a schedule fires next, and when its runs are really queued, as shown to people. Pure, but slow: some ms of croniter's."""

from dataclasses import dataclass
from datetime import datetime

from services.platform.errors import InvalidArgument
from services.scheduler.cron.expression import FireTime, fire_times
from services.scheduler.cron.trigger_times import trigger_at
from services.scheduler.queue.trigger_plan import passed_over
from services.scheduler.schedules.schedule import Schedule

SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownFireTime:
    """A fire time, and the trigger that queues its run."""

    fire: FireTime
    queued_at_earliest: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class NextFirings:
    """The next fire times of a schedule; none while it is inactive, or if it cannot fire."""

    shown: tuple[ShownFireTime, ...] = ()
    queued_at_earliest: datetime | None = None
    """When the run of `next_run_time` is queued."""
    passed_over: int = 0
    """Fire times that one trigger passes over, see `trigger_plan.passed_over`."""

    @classmethod
    def of(cls, schedule: Schedule, trigger_cron: str, now: datetime) -> "NextFirings":
        """What a schedule does after `now` if the trigger comes by `trigger_cron`."""
        if not schedule.is_active:
            return cls()
        cron, zone, catch_up = schedule.schedule_cron, schedule.timezone, schedule.effective_catch_up
        try:
            fires = fire_times(cron, zone, now, SHOWN)
            return cls(
                shown=tuple(ShownFireTime(fire=one, queued_at_earliest=trigger_at(trigger_cron, one.utc)) for one in fires),
                queued_at_earliest=trigger_at(trigger_cron, max(schedule.next_run_time or now, now)),
                passed_over=passed_over(cron, zone, catch_up, now, trigger_cron),
            )
        except InvalidArgument:
            return cls()
