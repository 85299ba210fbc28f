"""The lease protocol as a model: whatever happens, and in whatever order, no run is lost and no two attempts of one are under way at once.

The model's rows change as the statements change them; what is decided is decided by the scheduler's own code.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.platform.errors import FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from services.scheduler.queue.claims import Claim, Pipeline
from services.scheduler.queue.outcomes import (
    SCHEDULE_GONE,
    AttemptState,
    ClaimOutcome,
    End,
    Refusal,
    RetryPolicy,
    UnknownStart,
    on_start_refused,
    on_state,
)
from services.scheduler.queue.trigger_plan import DueSchedule, plan_trigger

LEASE = timedelta(seconds=60)
POLICY = RetryPolicy(base=timedelta(seconds=60), cap=timedelta(hours=1))
SCHEDULERS = st.integers(0, 1)
ANSWERS = st.sampled_from(["ok", "ok", "ok", "lost reply", "quota", "no executor", "no template", "no credentials"])
SCHEDULE = DueSchedule(
    config_id="c",
    tenant_id="t",
    schedule_cron="0 * * * *",
    timezone="UTC",
    priority=50,
    catch_up="all",
    next_run_time=datetime(2026, 1, 1, tzinfo=UTC),
    units_left=None,
    places_left=1_000,
)


@dataclass
class Row:
    """A run, and its queue row while `queue_state` is not None."""

    claim: Claim
    state: str = "PENDING"
    queue_state: str | None = "QUEUED"
    claimed_by: str | None = None
    lease_expires_at: datetime | None = None
    not_before: datetime | None = None
    retry_count: int = 0


@dataclass
class Attempt:
    """The executor's record: kept for ever, begun once."""

    run_id: str
    status: str = "RUNNING"
    begun: int = 1


@dataclass
class Process:
    """A scheduler's memory, which a crash empties."""

    held: dict[str, Claim] = field(default_factory=dict)
    unknown: dict[str, UnknownStart] = field(default_factory=dict)

    def forget(self, run_id: str) -> None:
        del self.held[run_id]
        self.unknown.pop(run_id, None)


class Queue(RuleBasedStateMachine):
    """Two schedulers, one table, one executor."""

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)
        self.schedule = SCHEDULE
        self.rows: dict[str, Row] = {}
        self.attempts: dict[str, Attempt] = {}
        self.processes = [Process(), Process()]
        self.slots = 0
        self.is_deleted = False
        self.trigger(twice=False)

    @rule(twice=st.booleans())
    def trigger(self, twice: bool) -> None:
        seen = [] if self.is_deleted else [self.schedule] * (2 if twice else 1)
        for schedule in seen:
            for firing in plan_trigger([schedule], self.now).firings if schedule.next_run_time <= self.now else ():  # type: ignore[operator]
                if self.schedule.next_run_time == firing.seen:
                    self.schedule = replace(self.schedule, next_run_time=firing.next_run_time)
                    self.slots += len(firing.runs)
                    for run in firing.runs:
                        self.rows.setdefault(run.run_id, Row(claim=self.fresh(run.run_id, run.scheduled_time)))

    @rule(who=SCHEDULERS, most=st.integers(1, 3), answer=ANSWERS)
    def claim(self, who: int, most: int, answer: str) -> None:
        claimed_by = str(uuid4())
        ready = [row for row in self.rows.values() if row.queue_state == "QUEUED" and (row.not_before or self.now) <= self.now]
        for row in ready[:most]:
            row.queue_state, row.claimed_by, row.lease_expires_at = "PROCESSING", claimed_by, self.now + LEASE
            row.claim = replace(row.claim, claimed_by=claimed_by, attempt=row.retry_count + 1, retry_count=row.retry_count)
            self.processes[who].held[row.claim.run_id] = row.claim
        self.start(who, answer)

    @rule(who=SCHEDULERS)
    def tick(self, who: int) -> None:
        """The part of process-queue that runs behind its answer."""
        self.take_over(who)
        self.poll(who)

    def take_over(self, who: int) -> None:
        claimed_by = str(uuid4())
        for row in self.rows.values():
            if row.queue_state == "PROCESSING" and (row.lease_expires_at or self.now) <= self.now:
                row.claimed_by, row.lease_expires_at = claimed_by, self.now + LEASE
                self.processes[who].held[row.claim.run_id] = row.claim = replace(row.claim, claimed_by=claimed_by)

    @rule(who=SCHEDULERS, answer=ANSWERS)
    def start(self, who: int, answer: str) -> None:
        for claim in list(self.processes[who].held.values()):
            identity = claim.pipeline_logging_id
            if claim.pipeline is None:
                self.processes[who].unknown[claim.run_id] = UnknownStart(message=SCHEDULE_GONE, is_final=True)
                continue
            if answer in {"ok", "lost reply"}:
                self.attempts.setdefault(identity, Attempt(run_id=claim.run_id))
            if answer == "ok" or (identity in self.attempts and answer != "lost reply"):
                continue
            error = {
                "quota": ResourceExhausted("DAILY_LIMIT_REACHED", "x"),
                "no template": NotFound("TEMPLATE_NOT_FOUND", "x"),
                "no credentials": FailedPrecondition("CREDENTIALS_MISSING", "x"),
            }.get(answer, Unavailable("SERVICE_UNAVAILABLE", "x"))
            self.apply(who, claim, on_start_refused(claim, error, POLICY, self.now))

    @rule(who=SCHEDULERS)
    def poll(self, who: int) -> None:
        for claim in list(self.processes[who].held.values()):
            attempt = self.attempts.get(claim.pipeline_logging_id)
            state = AttemptState(status=attempt.status if attempt else "")
            unknown = self.processes[who].unknown.get(claim.run_id)
            self.apply(who, claim, on_state(claim, state, unknown, POLICY, now=self.now, chance=1.0))

    def apply(self, who: int, claim: Claim, decision: End | Refusal | UnknownStart | None) -> None:
        match decision:
            case End() as end:
                self.settle(who, end)
            case Refusal() as refusal:
                if row := self.fenced(claim):
                    row.queue_state, row.claimed_by, row.not_before = "QUEUED", None, refusal.not_before
                self.processes[who].forget(claim.run_id)
            case UnknownStart() as unknown:
                self.processes[who].unknown[claim.run_id] = unknown

    @rule()
    def delete_schedule(self) -> None:
        """What is queued ends with the schedule; claimed runs go on, and a later claim finds no schedule."""
        self.is_deleted = True
        for row in self.rows.values():
            row.claim = replace(row.claim, pipeline=None)
            if row.queue_state == "QUEUED":
                row.state, row.queue_state = "FAILED", None

    @rule(who=SCHEDULERS)
    def heartbeat(self, who: int) -> None:
        for claim in self.processes[who].held.values():
            if row := self.fenced(claim):
                row.lease_expires_at = self.now + LEASE

    @rule(status=st.sampled_from(["COMPLETED", "FAILED", "FAILED"]), index=st.integers(0, 5))
    def finish(self, status: str, index: int) -> None:
        running = [attempt for attempt in self.attempts.values() if attempt.status == "RUNNING"]
        if running:
            running[index % len(running)].status = status

    @rule(who=SCHEDULERS)
    def crash(self, who: int) -> None:
        self.processes[who] = Process()

    @rule(seconds=st.sampled_from([30, 61, 3700]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(who=SCHEDULERS)
    def pause(self, who: int) -> None:
        """One scheduler stands still for longer than its lease, and the other works on."""
        self.wait(61)
        self.tick(1 - who)
        self.wait(61)
        self.claim(1 - who, 3, "ok")

    @precondition(lambda self: self.rows)
    @rule(index=st.integers(0, 5))
    def retry(self, index: int) -> None:
        row = list(self.rows.values())[index % len(self.rows)]
        if row.state == "FAILED" and row.queue_state is None:
            row.state, row.queue_state, row.not_before = "PENDING", "QUEUED", None
            row.claim = replace(row.claim, max_retries=row.retry_count + 3)

    @invariant()
    def every_slot_is_a_run(self) -> None:
        assert len(self.rows) == self.slots

    @invariant()
    def no_run_is_lost(self) -> None:
        for row in self.rows.values():
            assert row.queue_state is not None or row.state in {"COMPLETED", "FAILED"}
            assert (row.queue_state == "PROCESSING") == (row.claimed_by is not None)

    @invariant()
    def no_run_that_ended_failed_works_on(self) -> None:
        for run_id, row in self.rows.items():
            if row.state == "FAILED" and row.queue_state is None:
                assert not [one for one in self.attempts.values() if one.run_id == run_id and one.status != "FAILED"]

    @invariant()
    def no_run_is_executed_twice_at_once(self) -> None:
        for run_id in self.rows:
            attempts = [attempt for attempt in self.attempts.values() if attempt.run_id == run_id]
            assert sum(attempt.status == "RUNNING" for attempt in attempts) <= 1
            assert sum(attempt.status == "COMPLETED" for attempt in attempts) <= 1

    def teardown(self) -> None:
        """One scheduler that lives, and an executor that answers, bring every run to its end."""
        for _ in range(40):
            self.wait(3700)
            self.take_over(0)
            self.claim(0, 1000, "ok")
            for attempt in self.attempts.values():
                attempt.status = "COMPLETED" if attempt.status == "RUNNING" else attempt.status
            self.poll(0)
            if all(row.queue_state is None for row in self.rows.values()):
                return
        raise AssertionError("a run never ended")

    def settle(self, who: int, end: End) -> None:
        if row := self.fenced(end.claim):
            assert end.claim.attempt == row.retry_count + 1, "an attempt is counted once"
            row.claimed_by = None
            if end.outcome is ClaimOutcome.COMPLETED:
                row.state, row.queue_state = "COMPLETED", None
            else:
                row.retry_count += 1
                row.state, row.queue_state = "FAILED", "QUEUED" if end.outcome is ClaimOutcome.RETRY else None
                row.not_before = end.not_before
                assert (end.outcome is ClaimOutcome.RETRY) <= (row.retry_count < row.claim.max_retries)
        self.processes[who].forget(end.claim.run_id)

    def fenced(self, claim: Claim) -> Row | None:
        row = self.rows[claim.run_id]
        return row if row.queue_state == "PROCESSING" and row.claimed_by == claim.claimed_by else None

    def fresh(self, run_id: str, slot: datetime) -> Claim:
        return Claim(
            run_id=run_id,
            config_id="c",
            tenant_id="t",
            pipeline_id="gcp-cost-billing",
            claimed_by="",
            attempt=1,
            scheduled_time=slot,
            retry_count=0,
            max_retries=3,
            parameters={},
            pipeline=Pipeline(provider="gcp", domain="cost", template="billing"),
        )


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=2 * settings().max_examples, stateful_step_count=50, deadline=None)
