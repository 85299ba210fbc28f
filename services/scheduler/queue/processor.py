"""Flow 3B: claims the next runs in the queue, and takes over runs whose lease has expired."""

import asyncio
import itertools
import logging
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog

from services.platform.clock import Clock
from services.platform.group_commit import GroupCommit
from services.platform.metrics.runs import RUN_WAIT_SECONDS, show_queue
from services.platform.periodic import Periodic, Work, run_once
from services.platform.reporting.events import EventKind, RecordEvent, unrecorded
from services.scheduler.queue.claim_watcher import ClaimWatcher
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.executor_client import ExecutorClient
from services.scheduler.queue.store import Look, QueueStore

IDLE_LEASES = 5
"""While no run is claimed, no lease can expire. Then the queue is read once in this many leases, and on every call."""

_log = structlog.get_logger()


class QueueProcessor:
    """Claims runs and passes them to the claim watcher. A call takes two BigQuery jobs before it answers, for any number of runs and
    callers. It takes one if there is nothing to claim.

    While its context is open it also looks for runs of dead schedulers: once a lease while any run is claimed, else once in IDLE_LEASES.
    """

    def __init__(
        self,
        *,
        store: QueueStore,
        watcher: ClaimWatcher,
        executor: ExecutorClient,
        clock: Clock,
        lease_seconds: float,
        record: RecordEvent = unrecorded,
    ) -> None:
        """`record` learns of claims that were lost."""
        self._record = record
        self._store, self._watcher, self._executor, self._clock = store, watcher, executor, clock
        self._lease = timedelta(seconds=lease_seconds)
        self._looking: asyncio.Task[None] | None = None
        self._last_look: tuple[float, Look] | None = None
        self._periodic = Periodic("reconcile", (self._look_again, lease_seconds))
        self._claims: GroupCommit[int, list[Claim]] = GroupCommit(self._claim_batch)

    async def process(self, max_runs: int) -> list[Claim]:
        """Claims the best `max_runs` runs that are ready and starts them in the background. Raises Unavailable if BigQuery does not answer;
        if runs were claimed nevertheless, they wait until the lease has expired.
        """
        claims = await self._claims.submit(max_runs)
        self._soon(self._after_a_call)
        return claims

    async def _claim_batch(self, asked_for: Sequence[int]) -> Sequence[list[Claim]]:
        """One claim for all concurrent callers: separate claims would compete for the same rows, and all but one would be repeated."""
        claimed_by, now = str(uuid.uuid4()), self._clock.now()
        look, claims = await self._look(), list[Claim]()
        if look.ready and look.span:
            claims = await self._store.claim(claimed_by, sum(asked_for), look.span, now, now + self._lease)
            for claim in claims:
                if claim.attempt == 1 and claim.trigger_type == "scheduler":  # later attempts, and backfills, are meant to wait
                    RUN_WAIT_SECONDS.labels("queue").observe(max(0.0, (now - claim.scheduled_time).total_seconds()))
        # Here and not in `process`: if the caller disconnects, the claimed runs must still be started.
        self._watcher.start(claims, lease_expires_at=now + self._lease)
        rest = iter(claims)
        return [list(itertools.islice(rest, asked)) for asked in asked_for]

    async def reconcile(self) -> None:
        """Makes the executor end runs of dead executors, and takes over claims whose lease has expired. Decides nothing: the claim watcher
        polls each run's own record. Raises Unavailable if BigQuery does not answer.
        """
        await self._take_over(await self._look())
        await self._executor.reconcile()

    async def _look(self) -> Look:
        began, now = time.monotonic(), self._clock.now()
        look = await self._store.look(now)
        show_queue(ready=look.ready, processing=look.claimed - look.lapsed, lapsed=look.lapsed, oldest_since=look.ready_since, now=now)
        self._last_look = began, look
        return look

    async def _take_over(self, look: Look) -> None:
        if not look.lapsed or not look.span:
            return
        now, claimed_by = self._clock.now(), str(uuid.uuid4())
        # Rows may have been taken over although the reply was lost. Then their new lease expires, too, and the next call takes them over
        # again.
        claims = await self._store.take_over(claimed_by, look.span, now, now + self._lease)
        if claims:
            lost = max(0, len(claims) - look.released)
            _log.log(logging.WARNING if lost else logging.INFO, "claims_taken_over", runs=len(claims), lost=lost)
            if lost:
                self._record(EventKind.CLAIMS_LOST, claimed_by, lost)
            self._watcher.adopt(claims, lease_expires_at=now + self._lease)

    async def _after_a_call(self) -> None:
        """What `reconcile` does, with the look of the call."""
        if self._last_look:
            await self._take_over(self._last_look[1])
        await self._executor.reconcile()

    def _soon(self, work: Work) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(run_once(work, name="reconcile"))

    async def _look_again(self) -> None:
        if self._last_look is not None:
            looked_at, look = self._last_look
            is_idle = not look.claimed and not self._watcher.holds_claims
            if is_idle and time.monotonic() - looked_at < IDLE_LEASES * self._lease.total_seconds():
                return
        self._soon(self.reconcile)

    async def __aenter__(self) -> Self:
        self._soon(self.reconcile)  # started before anything else: its users need not wait for a first round
        await self._periodic.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._claims.__aexit__(kind, error, trace)
        await self._periodic.__aexit__(kind, error, trace)
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
