"""The order of the queue, on its model: turns, ageing, and the bound within which every run is claimed (docs/schedules.md)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.queue_order import BACKFILL, WaitingRun, in_order

TICK = timedelta(minutes=5)
AGEING = 1800
START = datetime(2026, 3, 1, 12, 3, tzinfo=UTC)


@dataclass
class Queue:
    """A queue that is processed every five minutes, `most` runs a call."""

    ceilings: dict[str, int]
    most: int = 1
    ageing: int = AGEING
    now: datetime = START
    waiting: list[WaitingRun] = field(default_factory=list)
    added: list[WaitingRun] = field(default_factory=list)
    claimed: list[WaitingRun] = field(default_factory=list)
    waited_at: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Runs before backfills that waited, and those that had been claimed, when a run was added."""
    served_at: dict[str, datetime] = field(default_factory=dict)

    def add(self, tenant_id: str, priority: int, late: int = 0) -> WaitingRun:
        """A run that was due `late` minutes ago."""
        scheduled_time = self.now - timedelta(minutes=late)
        run = WaitingRun(
            run_id=f"{len(self.added):04}", tenant_id=tenant_id, priority=priority, scheduled_time=scheduled_time, added_at=self.now
        )
        self.waited_at[run.run_id] = sum(one.priority > BACKFILL for one in self.waiting), len(self.claimed)
        self.waiting.append(run)
        self.added.append(run)
        return run

    def order(self) -> list[WaitingRun]:
        return in_order(self.waiting, ceilings=self.ceilings, served_at=self.served_at, ageing_seconds=self.ageing, now=self.now)

    def process(self) -> list[WaitingRun]:
        taken = self.order()[: self.most]
        self.claimed += taken
        self.waiting = [run for run in self.waiting if run not in taken]
        self.served_at |= dict.fromkeys((run.tenant_id for run in taken), self.now)
        self.now += TICK
        return taken

    def claimed_before(self, run: WaitingRun) -> int:
        """Runs that were claimed while this one waited."""
        return self.claimed.index(run) - self.waited_at[run.run_id][1]

    def bound(self, run: WaitingRun) -> int:
        """The most that may be claimed before it: those that waited when it was added, and those added after it in its period and in as
        many more as its priority is below the highest ceiling.
        """
        periods = max(self.ceilings.values()) - min(run.priority, self.ceilings[run.tenant_id])
        last = run.period(self.ageing) + periods
        after = [one for one in self.added if one.run_id > run.run_id and one.priority > BACKFILL and one.period(self.ageing) <= last]
        return self.waited_at[run.run_id][0] + len(after)


TENANTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5), min_size=1)
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 3), st.one_of(st.integers(0, 8), st.just(BACKFILL)), st.integers(0, 200)), max_size=60
)


CROWDS = st.lists(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([BACKFILL, 0, 1, 2, 3])), max_size=4), min_size=10, max_size=60)
"""What is queued between two calls, of which each takes one or two."""


@given(ceilings=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), min_size=1), arrivals=CROWDS, most=st.integers(1, 2))
def test_every_run_is_claimed_within_the_bound(ceilings: dict[str, int], arrivals: list[list[tuple[int, int]]], most: int) -> None:
    """While more is queued than is taken, too; runs age every two calls."""
    queue, names = Queue(ceilings=ceilings, most=most, ageing=600), sorted(ceilings)
    for queued in arrivals:
        for who, priority in queued:
            queue.add(names[who % len(names)], priority)
        queue.process()
    while queue.waiting:
        queue.process()
    for run in queue.claimed:
        if run.priority > BACKFILL:
            assert queue.claimed_before(run) <= queue.bound(run)


@given(ceilings=TENANTS, arrivals=ARRIVALS, later=st.integers(0, 20))
def test_among_runs_queued_in_the_same_half_hour_the_documented_order_is_exact(
    ceilings: dict[str, int], arrivals: list[tuple[int, int, int, int]], later: int
) -> None:
    """Whenever they are claimed, and whatever else waits."""
    queue, names = Queue(ceilings=ceilings, most=60), sorted(ceilings)
    for at, who, priority, late in sorted(arrivals):
        queue.now = START + at * TICK
        queue.add(names[who % len(names)], priority, late)
    queue.now += later * TICK
    place = {run.run_id: number for number, run in enumerate(queue.order())}
    for period in {run.period(AGEING) for run in queue.added}:
        cohort = sorted((run for run in queue.added if run.period(AGEING) == period), key=lambda run: place[run.run_id])
        priorities = [min(run.priority, ceilings[run.tenant_id]) for run in cohort]
        assert priorities == sorted(priorities, reverse=True)
        for tenant_id in names:
            own = [(-min(run.priority, ceilings[tenant_id]), run.scheduled_time) for run in cohort if run.tenant_id == tenant_id]
            assert own == sorted(own)


def test_a_thousand_runs_of_one_tenant_do_not_delay_another_s_single_run() -> None:
    """Not even if a call claims one run, the thousand were due earlier, and their tenant asked for more than its plan allows."""
    queue = Queue(ceilings={"greedy": 50, "good": 50})
    for _ in range(1_000):
        queue.add("greedy", 100, late=180)
    queue.process()
    good = queue.add("good", 50)
    assert good in [*queue.process(), *queue.process()]


@pytest.mark.parametrize(("ageing", "is_claimed"), [(AGEING, True), (0, False)])
def test_a_stream_of_higher_priority_does_not_starve_a_run_unless_ageing_is_off(ageing: int, is_claimed: bool) -> None:
    """Ten steps below the ceiling: the bound is its own half hour and ten more, of six ticks each."""
    queue = Queue(ceilings={"stream": 50, "low": 50}, ageing=ageing)
    low = queue.add("low", 40)
    for _ in range(11 * 6 + 1):
        queue.add("stream", 50)
        queue.process()
    assert (low in queue.claimed) is is_claimed


def test_backfills_do_not_age_and_retries_do() -> None:
    queue = Queue(ceilings={"a": 50})
    backfill, retried = queue.add("a", BACKFILL), queue.add("a", -1)
    queue.now += timedelta(days=30)
    fresh = queue.add("a", 0)
    assert queue.order() == [retried, fresh, backfill]
