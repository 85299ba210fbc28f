"""Flow 3B: takes the next runs from the queue, and looks after those that nobody holds any more."""

import asyncio
import itertools
import uuid
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

import structlog

from services.platform.clock import Clock
from services.platform.group_commit import GroupCommit
from services.platform.periodic import Periodic, run_once
from services.scheduler.queue.claim_watcher import ClaimWatcher
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.executor_client import ExecutorClient
from services.scheduler.queue.store import QueueStore

_log = structlog.get_logger()


class QueueProcessor:
    """Claims, and hands what it claimed to the follower. Two BigQuery jobs before it answers, for any number of runs and of callers.

    While its context is open it also looks by itself, once a lease, for runs whose scheduler is gone.
    """

    def __init__(self, *, store: QueueStore, watcher: ClaimWatcher, executor: ExecutorClient, clock: Clock, lease_seconds: float) -> None:
        self._store, self._watcher, self._executor, self._clock = store, watcher, executor, clock
        self._lease = timedelta(seconds=lease_seconds)
        self._looking: asyncio.Task[None] | None = None
        self._periodic = Periodic("reconcile", (self._look_again, lease_seconds))
        self._claims: GroupCommit[int, list[Claim]] = GroupCommit(self._claim_batch)

    async def process(self, max_runs: int) -> list[Claim]:
        """Claims the best `max_runs` runs that are ready, and starts them in the background. Raises Unavailable if BigQuery does not
        answer; what was claimed then waits until its lease has run out.
        """
        claims = await self._claims.submit(max_runs)
        self._look_soon()
        return claims

    async def _claim_batch(self, asked_for: Sequence[int]) -> Sequence[list[Claim]]:
        """One claim for all who ask meanwhile: claims at once want the same rows, and all but one would have to begin again."""
        claimed_by, now = str(uuid.uuid4()), self._clock.now()
        await self._store.claim(claimed_by, sum(asked_for), now, now + self._lease)
        claims = await self._store.claimed(claimed_by)
        # Here, not in `process`: a caller that hangs up must not leave runs behind that nobody starts.
        self._watcher.start(claims)
        rest = iter(claims)
        return [list(itertools.islice(rest, asked)) for asked in asked_for]

    async def reconcile(self) -> None:
        """Has the executor end runs that nobody leads, and takes over claims whose lease ran out. Nothing is decided here: the follower
        asks each run's own record. Raises Unavailable if BigQuery does not answer.
        """
        now, claimed_by = self._clock.now(), str(uuid.uuid4())
        # A lost reply may hide that rows were taken: their new lease runs out too, and the next tick takes them again.
        if await self._store.take_over(claimed_by, now, now + self._lease):
            claims = await self._store.claimed(claimed_by)
            _log.warning("claims_taken_over", runs=len(claims))
            self._watcher.adopt(claims)
        await self._executor.reconcile()

    def _look_soon(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(run_once(self.reconcile, name="reconcile"))

    async def _look_again(self) -> None:
        self._look_soon()

    async def __aenter__(self) -> Self:
        self._look_soon()  # under way before anything else: whoever waits for it need not wait for a first round
        await self._periodic.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._claims.__aexit__(kind, error, trace)
        await self._periodic.__aexit__(kind, error, trace)
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
