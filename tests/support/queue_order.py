"""The order in which the queue's runs are claimed, as a pure model: what docs/schedules.md says, in a few lines of Python."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

BACKFILL = -100
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class WaitingRun:
    """A ready run of a tenant whose limits leave room for all of its runs."""

    run_id: str
    tenant_id: str
    priority: int
    scheduled_time: datetime
    added_at: datetime

    def period(self, ageing_seconds: int) -> int:
        """The number of the period in which it was queued."""
        return int(self.added_at.timestamp()) // ageing_seconds if ageing_seconds else 0

    def counted_priority(self, ceiling: int, ageing_seconds: int, now: datetime) -> int:
        """The priority that counts at `now`."""
        if self.priority <= BACKFILL or not ageing_seconds:
            return min(self.priority, ceiling)
        return min(self.priority, ceiling) + int(now.timestamp()) // ageing_seconds - self.period(ageing_seconds)


def in_order(
    runs: Iterable[WaitingRun],
    *,
    ceilings: Mapping[str, int],
    served_at: Mapping[str, datetime],
    ageing_seconds: int,
    now: datetime,
) -> list[WaitingRun]:
    """The runs in the order in which one claim takes them."""
    counted = {run.run_id: run.counted_priority(ceilings[run.tenant_id], ageing_seconds, now) for run in runs}
    turns, taken = dict[str, int](), defaultdict[tuple[str, int], int](int)
    for run in sorted(runs, key=lambda one: (one.scheduled_time, one.run_id)):
        taken[run.tenant_id, counted[run.run_id]] += 1
        turns[run.run_id] = taken[run.tenant_id, counted[run.run_id]]

    def key(run: WaitingRun) -> tuple[int, int, datetime, datetime, str]:
        return (-counted[run.run_id], turns[run.run_id], served_at.get(run.tenant_id, NEVER), run.scheduled_time, run.run_id)

    return sorted(runs, key=key)
