"""Ends a tenant, step by step. Every step may be repeated; a call that broke off is repeated as a whole."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta

import structlog
from convergence.auth.v1.closing_service_pb2 import CloseTenantRequest, CloseTenantResponse
from convergence.auth.v1.closing_service_pb2_grpc import ClosingServiceStub
from convergence.credentials.v1.destruction_service_pb2 import DestroyTenantDataRequest
from convergence.credentials.v1.destruction_service_pb2_grpc import DestructionServiceStub

from services.platform.clock import Clock
from services.platform.errors import Unavailable
from services.platform.timestamps import to_datetime
from services.scheduler.offboarding.ends import Proof, end_of
from services.scheduler.offboarding.peers import Peers
from services.scheduler.offboarding.store import OffboardingStore, Stopped
from services.scheduler.queue.executor_client import ExecutorClient
from services.scheduler.queue.store import QueueStore

WAIT_SECONDS = 20.0
"""For which one call waits for runs to end. With the statements before and after, it is shorter than the gateway's deadline (60 s)."""
LOOK_SECONDS = 1.0
AGAIN = timedelta(seconds=15)

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ended:
    runs_cancelled: int = 0
    runs_dropped: int = 0


class TenantOffboarding:
    """OffboardTenant. Raises Unavailable if a service or BigQuery does not answer, or if runs are still ending: what is done stays done."""

    def __init__(
        self,
        *,
        store: OffboardingStore,
        queue: QueueStore,
        peers: Peers,
        clock: Clock,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._store, self._queue, self._clock, self._wait_seconds = store, queue, clock, wait_seconds
        self._executor = ExecutorClient(peers.executor)
        self._auth, self._credentials = ClosingServiceStub(peers.auth), DestructionServiceStub(peers.credentials)

    async def offboard(self, tenant_id: str, *, delete_dataset: bool) -> Proof:
        """Ends the tenant. Raises NotFound; FailedPrecondition (DATASET_NOT_OURS) if there is another dataset of its name to delete."""
        closed = await self._close(tenant_id)
        stopped = await self._store.stop(tenant_id, self._clock.now())
        ended = await self._end_runs(tenant_id, closed, stopped)
        # Last, because a run that is cancelled writes its end into the dataset.
        destroyed = await self._credentials.DestroyTenantData(DestroyTenantDataRequest(tenant_id=tenant_id, delete_dataset=delete_dataset))
        _log.info("tenant_offboarded", tenant_id=tenant_id, dataset=destroyed.dataset)
        return Proof(
            closed_at=to_datetime(closed.closed_at),
            keys_revoked=closed.keys_revoked,
            schedules_stopped=stopped.schedules_stopped,
            runs_dropped=stopped.runs_dropped + ended.runs_dropped,
            runs_cancelled=ended.runs_cancelled,
            credentials_destroyed=tuple(destroyed.providers),
            dataset=destroyed.dataset,
        )

    async def _close(self, tenant_id: str) -> CloseTenantResponse:
        answer: CloseTenantResponse = await self._auth.CloseTenant(CloseTenantRequest(tenant_id=tenant_id))
        return answer

    async def _end_runs(self, tenant_id: str, closed: CloseTenantResponse, stopped: Stopped) -> _Ended:
        """Cancels the active runs, and settles the claimed ones once none is active."""
        until = time.monotonic() + self._wait_seconds
        cancelled, active = await self._cancel(tenant_id, closed.active_runs, until)
        dropped = rounds = 0
        # The second round finds nothing more, if nothing was queued, or claimed by a concurrent call of this kind, since the first.
        while not active and (rounds < 2 or time.monotonic() < until):  # noqa: PLR2004
            rounds += 1
            if stopped.claimed:
                never_began, unended = await self._settle_claims(stopped)
                dropped += never_began
                await asyncio.sleep(LOOK_SECONDS if unended else 0.0)
            elif not stopped.runs_left:
                return _Ended(runs_cancelled=cancelled, runs_dropped=dropped)
            stopped = await self._store.stop(tenant_id, self._clock.now())
            dropped += stopped.runs_dropped
        raise Unavailable(
            "SERVICE_UNAVAILABLE",
            f"Tenant {tenant_id} is closed, but some of its runs are still ending. Repeat the call to complete it.",
            retry_after=AGAIN,
        )

    async def _cancel(self, tenant_id: str, active: int, until: float) -> tuple[int, int]:
        """Returns how many runs were cancelled, and how many are still active then (in monotonic seconds)."""
        cancelled = 0
        while active:
            cancelled += await self._executor.cancel_tenant(tenant_id)
            active = (await self._close(tenant_id)).active_runs
            if time.monotonic() >= until:
                break
            await asyncio.sleep(LOOK_SECONDS if active else 0.0)
        return cancelled, active

    async def _settle_claims(self, stopped: Stopped) -> tuple[int, int]:
        """Writes the ends of the claimed runs; returns how many had never begun, and how many have not ended yet."""
        assert stopped.claimed is not None  # noqa: S101 - for the type checker
        claims = await self._queue.claimed(stopped.claimed_by, stopped.claimed)
        states, now = await self._executor.states(claims), self._clock.now()
        ends = [end for claim, state in zip(claims, states, strict=True) if (end := end_of(claim, state, now)) is not None]
        if ends:
            await self._queue.settle(ends, now)
        return sum(not state.status for state in states), len(claims) - len(ends)
