"""Decides which runs a trigger queues. Pure: `now` is passed in."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import chain
from typing import Any, Self

from services.platform.clock import utc_day
from services.platform.errors import InvalidArgument
from services.scheduler.cron.catch_up import default_catch_up
from services.scheduler.cron.expression import fire_times_between, latest_between, next_after
from services.scheduler.cron.trigger_times import trigger_at
from services.scheduler.ids import fire_run_id

MAX_CAUGHT_UP = 100
"""Missed fire times of one schedule that one trigger queues with `catch_up` all; the others stay due."""
MAX_DAYS = 31
"""Missed fire times that are queued with `catch_up` days, each of another UTC day; older ones are left out and reported."""
MAX_COUNTED = 100
"""Fire times between two triggers that are counted for an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DueSchedule:
    """A schedule that is due, of a tenant that may run."""

    config_id: str
    tenant_id: str
    schedule_cron: str | None
    timezone: str | None
    """None or empty: UTC."""
    priority: int
    catch_up: str
    """One of `catch_up.CATCH_UPS`."""
    next_run_time: datetime | None
    """The due fire time, whatever the expression says now; None: none has been computed yet."""
    units_left: int | None
    """Runs that the tenant's quota still allows, beside those in the queue; None: unlimited."""
    places_left: int
    """Runs that the tenant may still queue by its plan's `max_queued_runs`."""

    @property
    def room(self) -> int:
        """Runs of the tenant that a trigger may queue now."""
        return max(0, self.places_left if self.units_left is None else min(self.units_left, self.places_left))

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Parses a row; a missing `catch_up` follows the parameters."""
        parameters = row["parameters"] if isinstance(row["parameters"], Mapping) else {}
        known = {name: value for name, value in row.items() if name != "parameters"}
        return cls(**{**known, "catch_up": row["catch_up"] or default_catch_up(parameters)})


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """Fire times of whole UTC days that a schedule missed and that are not queued: from `first` on, before `before`."""

    tenant_id: str
    config_id: str
    first: datetime
    before: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedRun:
    """A fire time to be queued."""

    run_id: str
    scheduled_time: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Firing:
    """A schedule that advances from the fire time at which it was read, and the runs to queue for it."""

    config_id: str
    seen: datetime
    next_run_time: datetime
    runs: tuple[QueuedRun, ...]
    left_out: LeftOut | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstFireTime:
    """The first fire time of a schedule that has none."""

    config_id: str
    next_run_time: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that one trigger writes."""

    firings: tuple[Firing, ...]
    first_fire_times: tuple[FirstFireTime, ...]
    skipped_count: int
    """Due runs for which the quota, or the plan's `max_queued_runs`, leaves no room; their schedules stay due."""
    unreadable: tuple[DueSchedule, ...]
    """Those whose expression or timezone cannot be parsed; they stay unchanged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _DueTimes:
    due: tuple[datetime, ...]
    """The earliest first."""
    following: datetime
    """The fire time after the last of `due`."""


def plan_trigger(schedules: Sequence[DueSchedule], now: datetime) -> Plan:
    """Every due fire time for which its tenant has room. A tenant's firings are ordered by priority, then by fire time. Tenants take turns
    in `firings`: the first of each, then the second of each. If not all fit into one statement, every tenant's last ones are left out.
    """
    times = dict[tuple[str, str, str, datetime | None], _DueTimes]()
    by_tenant = defaultdict[str, list[tuple[DueSchedule, _DueTimes]]](list)
    first_fire_times, unreadable = list[FirstFireTime](), list[DueSchedule]()
    for one in schedules:
        # Many schedules share an expression and a fire time, and cron is slow.
        key = (one.schedule_cron or "", one.timezone or "UTC", one.catch_up, one.next_run_time)
        try:
            found = times[key] if key in times else times.setdefault(key, _due_times(*key, now))
        except InvalidArgument:
            unreadable.append(one)
            continue
        if one.next_run_time is None:
            first_fire_times.append(FirstFireTime(config_id=one.config_id, next_run_time=found.following))
        else:
            by_tenant[one.tenant_id].append((one, found))
    fired, skipped = list[list[Firing]](), 0
    for due in by_tenant.values():
        firings, left = _within_room(due)
        fired.append(firings)
        skipped += left
    in_turn = sorted(chain.from_iterable(enumerate(firings) for firings in fired), key=lambda numbered: numbered[0])
    return Plan(
        firings=tuple(one for _, one in in_turn),
        first_fire_times=tuple(first_fire_times),
        skipped_count=skipped,
        unreadable=tuple(unreadable),
    )


def passed_over(cron: str, zone: str, catch_up: str, after: datetime, trigger_cron: str) -> int:
    """How many fire times one trigger passes over, because `catch_up` queues only the last of them. Counted are those of the first full
    interval between two triggers after `after` in which the schedule fires; at most MAX_COUNTED. Raises as `next_after` does.
    """
    begins = trigger_at(trigger_cron, next_after(cron, zone, after))
    first = next_after(cron, zone, begins)
    ends = trigger_at(trigger_cron, first)
    count = len(fire_times_between(cron, zone, begins, ends, MAX_COUNTED))
    return max(0, count - len(_due_times(cron, zone, catch_up, first, ends).due))


def _due_times(cron: str, zone: str, catch_up: str, first: datetime | None, now: datetime) -> _DueTimes:
    if first is None:
        return _DueTimes(due=(), following=next_after(cron, zone, now))
    if catch_up == "latest":
        return _DueTimes(due=(latest_between(cron, zone, first, now) or first,), following=next_after(cron, zone, now))
    if catch_up != "all":
        return _DueTimes(due=_one_a_day(cron, zone, first, now), following=next_after(cron, zone, now))
    # One more than the maximum: it becomes the schedule's next fire time.
    due = [first, *fire_times_between(cron, zone, first, now, MAX_CAUGHT_UP)]
    if len(due) > MAX_CAUGHT_UP:
        return _DueTimes(due=tuple(due[:MAX_CAUGHT_UP]), following=due[MAX_CAUGHT_UP])
    return _DueTimes(due=tuple(due), following=next_after(cron, zone, now))


def _one_a_day(cron: str, zone: str, first: datetime, now: datetime) -> tuple[datetime, ...]:
    """The last fire time of each UTC day from `first` to `now`: an earlier one of the same day would load the same day."""
    found, until = list[datetime](), now
    while len(found) < MAX_DAYS and until >= first:
        fire_time = latest_between(cron, zone, first, until) or first
        found.append(fire_time)
        until = datetime.combine(utc_day(fire_time), time(), UTC) - timedelta(microseconds=1)
    return tuple(reversed(found))


def _within_room(due: list[tuple[DueSchedule, _DueTimes]]) -> tuple[list[Firing], int]:
    """The firings for which one tenant has room, and the number of runs for which it has none."""
    queue = sorted(
        ((one, times, index) for one, times in due for index in range(len(times.due))),
        key=lambda entry: (-entry[0].priority, entry[1].due[entry[2]], entry[0].config_id),
    )
    passing = min(len(queue), due[0][0].room)
    # A schedule's fire times share its priority, so the earliest are always kept.
    count = defaultdict[str, int](int)
    for one, _, _ in queue[:passing]:
        count[one.config_id] += 1
    firings = [_firing(one, times, count[one.config_id]) for one, times in due if count[one.config_id]]
    return firings, len(queue) - passing


def _firing(one: DueSchedule, times: _DueTimes, count: int) -> Firing:
    assert one.next_run_time is not None  # noqa: S101 - such a schedule has no fire times
    first, queued = one.next_run_time, times.due[0]
    leaves_days = utc_day(first) < utc_day(queued)
    return Firing(
        config_id=one.config_id,
        left_out=LeftOut(tenant_id=one.tenant_id, config_id=one.config_id, first=first, before=queued) if leaves_days else None,
        seen=one.next_run_time,
        next_run_time=times.due[count] if count < len(times.due) else times.following,
        runs=tuple(QueuedRun(run_id=fire_run_id(one.config_id, fire_time), scheduled_time=fire_time) for fire_time in times.due[:count]),
    )
