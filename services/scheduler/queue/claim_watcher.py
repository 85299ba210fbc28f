"""Starts claimed runs, polls the executor, settles ended ones, renews leases."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

import structlog

from services.platform import log
from services.platform.clock import Clock
from services.platform.errors import ConvergenceError
from services.platform.periodic import Periodic
from services.scheduler.queue.claims import Claim
from services.scheduler.queue.executor_client import ExecutorClient
from services.scheduler.queue.outcomes import End, Refusal, RetryPolicy, UnknownStart, on_state
from services.scheduler.queue.start_runs import AttemptStarter
from services.scheduler.queue.store import QueueStore, Started
from services.scheduler.queue.writer import QueueWriter
from services.scheduler.settings import SchedulerSettings

CLOCKS_DIFFER = 12
"""The clocks of the scheduler and the executor differ by at most a lease divided by this: 5 s of 60."""

_log = structlog.get_logger()


@dataclass(kw_only=True, slots=True)
class _Held:
    claim: Claim
    lease_expires_at: datetime
    start_by: datetime | None = None
    """The last StartRun begins the run no later than this; None: this process has sent none."""
    starting: bool = False
    """StartRun is in flight or waits for its turn: the run is not polled yet."""
    unknown_start: UnknownStart | None = None
    """A start whose result is unknown."""


class ClaimWatcher:
    """All claims of this process. Leaving the context expires their leases at once, so that another process takes them over.

    A run stays here until it is known to have ended; after an error, the next poll tries again. If another scheduler has taken a claim
    over, this one's writes change nothing, and it drops the claim when the run has ended.
    """

    def __init__(
        self,
        *,
        store: QueueStore,
        executor: ExecutorClient,
        clock: Clock,
        settings: SchedulerSettings,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store, self._executor, self._clock, self._chance = store, executor, clock, chance
        self._lease = timedelta(seconds=settings.claim_lease)
        self._clocks_differ = self._lease / CLOCKS_DIFFER
        self._policy = RetryPolicy(base=timedelta(seconds=settings.retry_base_seconds), cap=timedelta(seconds=settings.retry_cap_seconds))
        self._starter = AttemptStarter(executor=executor, clock=clock, policy=self._policy, max_concurrent=settings.starts_at_once)
        self._writer = QueueWriter(store, clock, batch_window_seconds=settings.journal_gather_seconds)
        self._held: dict[tuple[str, str], _Held] = {}
        self._tasks = set[asyncio.Task[None]]()
        self._periodic = Periodic("following", (self.poll, settings.poll_seconds), (self.renew, settings.claim_lease / 3))

    def start(self, claims: Iterable[Claim], *, lease_expires_at: datetime) -> None:
        """Adds fresh claims and starts their runs in the background."""
        for held in self._add(claims, lease_expires_at):
            self._start_soon(held)

    def adopt(self, claims: Iterable[Claim], *, lease_expires_at: datetime) -> None:
        """Adds claims whose runs may have begun: the next poll finds out."""
        self._add(claims, lease_expires_at)

    def _add(self, claims: Iterable[Claim], lease_expires_at: datetime) -> list[_Held]:
        added = [_Held(claim=claim, lease_expires_at=lease_expires_at) for claim in claims]
        self._held |= {(held.claim.run_id, held.claim.claimed_by): held for held in added}
        return added

    @property
    def holds_claims(self) -> bool:
        """True if it holds any."""
        return bool(self._held)

    async def poll(self) -> None:
        """Polls the states of the runs, settles those that have ended, and starts or puts back those that never began. Raises Unavailable
        if the executor or BigQuery does not answer.
        """
        waiting = [held for held in self._held.values() if not held.starting]
        if not waiting:
            return
        states = await self._executor.states([held.claim for held in waiting])
        now, ends, refusals = self._clock.now(), list[End](), list[Refusal]()
        for held, state in zip(waiting, states, strict=True):
            if not state.status and held.start_by and now <= held.start_by + self._clocks_differ:
                continue  # the last StartRun may still be on its way
            match on_state(held.claim, state, held.unknown_start, self._policy, now=now, chance=self._chance()):
                case End() as end:
                    ends.append(end)
                case Refusal() as refusal:
                    refusals.append(refusal)
                case None if not state.status:
                    self._start_soon(held)
        await self._settle(ends)
        await self._put_back(refusals)

    async def renew(self) -> None:
        """Extends all leases in one statement. Raises Unavailable if BigQuery does not answer."""
        if claims := self._claims():
            now, renewed = self._clock.now(), [*self._held.values()]
            await self._store.renew(claims, now + self._lease)
            for held in renewed:
                if now < held.lease_expires_at:  # else another process may have taken it over: this one starts nothing with it any more
                    held.lease_expires_at = now + self._lease

    def _claims(self) -> list[str]:
        return sorted({held.claim.claimed_by for held in self._held.values()})

    def _start_soon(self, held: _Held) -> None:
        held.starting = True
        task = asyncio.create_task(self._start(held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start_by(self, held: _Held) -> datetime:
        """A StartRun that is sent now may begin the run until this time: no later than the lease of its claim ends. Otherwise, if the
        executor or this process stalled, a run could begin that another process has ended meanwhile.
        """
        held.start_by = min(held.lease_expires_at, self._clock.now() + self._lease / 2)
        return held.start_by

    async def _start(self, held: _Held) -> None:
        claim = held.claim
        held.claim = replace(claim, is_new=False)  # whatever comes of it
        log.bind(tenant_id=claim.tenant_id, run_id=claim.run_id, attempt=claim.attempt)
        try:
            match await self._starter.start(claim, partial(self._start_by, held)):
                case Started() as started:
                    held.starting = False
                    await self._writer.record(started)
                case End() as end:
                    await self._settle([end])
                case Refusal() as refusal:
                    await self._put_back([refusal])
                case UnknownStart() as unknown:
                    held.unknown_start = unknown
        except ConvergenceError as error:
            # The start could not be recorded: the next poll finds no such run and starts it again.
            _log.warning("start_delayed", reason=error.reason)
        except Exception:  # noqa: BLE001 - a background task has no caller to tell; the claim stays and is polled
            _log.exception("start_broke")
        finally:
            held.starting = False

    async def _settle(self, ends: Sequence[End]) -> None:
        await self._writer.settle(ends)
        for end in ends:
            _log.info("run_settled", run_id=end.claim.run_id, outcome=end.outcome, failures=end.claim.retry_count)
            self._forget(end.claim)

    async def _put_back(self, refusals: Sequence[Refusal]) -> None:
        await self._writer.put_back(refusals)
        for refusal in refusals:
            self._forget(refusal.claim)

    def _forget(self, claim: Claim) -> None:
        self._held.pop((claim.run_id, claim.claimed_by), None)

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        await self._periodic.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A StartRun that was cancelled may have begun: the process that takes the claim over polls it.
        await self._periodic.__aexit__(kind, error, trace)
        for task in (tasks := [*self._tasks]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._writer.__aexit__(kind, error, trace)
        if claims := self._claims():
            try:
                await self._store.release(claims)
            except ConvergenceError as unavailable:
                _log.warning("claims_left_to_expire", reason=unavailable.reason)
