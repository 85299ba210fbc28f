"""Flow 3A: queues every due schedule once. Two BigQuery jobs for any number of schedules, one when nothing is due."""

import asyncio
from dataclasses import dataclass, replace

import structlog

from services.platform.clock import Clock
from services.platform.metrics.runs import SCHEDULES_DUE
from services.scheduler.queue.store import MAX_DUE, Queued, QueueStore
from services.scheduler.queue.trigger_plan import LeftOut, Plan, plan_trigger

MAX_LOGGED = 500
"""The most schedules of one kind that a trigger logs; it also logs their number. Ten thousand lines would keep the event loop busy."""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Triggered:
    """The result of a trigger."""

    triggered: int
    """Schedules that fired."""
    queued: int
    skipped: int
    """Due runs for which the quota, or the plan's `max_queued_runs`, leaves no room; they stay due."""
    left_out: tuple[LeftOut, ...] = ()
    """Missed days that are not queued."""


class Trigger:
    """Any number of triggers may run at once: a run that one of them has queued is neither queued nor counted by the others."""

    def __init__(self, store: QueueStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._one_at_a_time = asyncio.Lock()

    async def fire(self) -> Triggered:
        """One trigger. A third job, once, sets the fire time of schedules that the subscription system wrote without one."""
        # Transactions of one process need not cancel each other; the second then finds nothing due.
        async with self._one_at_a_time:
            return await self._fire()

    async def _fire(self) -> Triggered:
        now = self._clock.now()
        schedules = await self._store.due_schedules(now)
        # Cron takes a while for thousands of schedules, and leases must be renewed meanwhile.
        plan = _at_most(await asyncio.to_thread(plan_trigger, schedules, now))
        for one in plan.unreadable[:MAX_LOGGED]:
            _log.warning("schedule_unreadable", tenant_id=one.tenant_id, config_id=one.config_id, of=len(plan.unreadable))
        if plan.first_fire_times:
            await self._store.set_first_fire_times(plan.first_fire_times)
        done = await self._store.enqueue(plan, now) if plan.firings else Queued(triggered=0, queued=0)
        SCHEDULES_DUE.set(max(0, len(schedules) - len(plan.firings) - len(plan.first_fire_times)))
        _log.info("triggered", due=len(schedules), triggered=done.triggered, queued=done.queued, skipped=plan.skipped_count)
        # A concurrent trigger that came second has queued nothing, and reports nothing as left out.
        left_out = tuple(one.left_out for one in plan.firings if one.left_out) if done.triggered else ()
        for gap in left_out[:MAX_LOGGED]:
            _log.warning(
                "slots_left_out", tenant_id=gap.tenant_id, config_id=gap.config_id, first=gap.first, before=gap.before, of=len(left_out)
            )
        return Triggered(triggered=done.triggered, queued=done.queued, skipped=plan.skipped_count, left_out=left_out)


def _at_most(plan: Plan) -> Plan:
    """As many whole schedules of the plan as fit into one statement; the others stay due."""
    runs, count = 0, 0
    for firing in plan.firings:
        runs += len(firing.runs)
        if runs > MAX_DUE:
            _log.warning("trigger_too_large", left_due=len(plan.firings) - count)
            break
        count += 1
    return replace(plan, firings=plan.firings[:count])
