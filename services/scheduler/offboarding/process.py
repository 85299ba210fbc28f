"""Ends a tenant, step by step. Every step may be repeated; a call that broke off is repeated as a whole."""

import asyncio
import contextlib
import time
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from convergence.auth.v1.closing_service_pb2 import CloseTenantRequest, CloseTenantResponse
from convergence.auth.v1.closing_service_pb2_grpc import ClosingServiceStub
from convergence.credentials.v1.destruction_service_pb2 import DestroyTenantDataRequest, ExportTenantDataRequest
from convergence.credentials.v1.destruction_service_pb2_grpc import DestructionServiceStub

from services.platform.clock import Clock
from services.platform.errors import ConvergenceError, Unavailable
from services.platform.rpc.calls import request_id
from services.platform.timestamps import to_datetime
from services.scheduler.offboarding.ends import ABSENT, DELETED, DELETING, ExportedRows, Proof, end_of
from services.scheduler.offboarding.peers import Peers
from services.scheduler.offboarding.store import OffboardingStore, Stopped
from services.scheduler.queue.executor_client import ExecutorClient
from services.scheduler.queue.store import QueueStore

WAIT_SECONDS = 20.0
"""For which one call waits for runs to end. With the statements before and after, it is shorter than the gateway's deadline (60 s)."""
LOOK_SECONDS = 1.0
AGAIN = timedelta(seconds=15)

_log = structlog.get_logger()


@dataclass(kw_only=True, slots=True)
class _Progress:
    """What a call has ended so far."""

    closed: CloseTenantResponse
    schedules_stopped: int = 0
    runs_cancelled: int = 0
    runs_dropped: int = 0
    providers: tuple[str, ...] = ()
    """Whose credentials were destroyed."""
    export_uri: str = ""
    exported: tuple[ExportedRows, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there was nothing left to end."""
        ended = (self.closed.keys_revoked, self.schedules_stopped, self.runs_cancelled, self.runs_dropped)
        return not any(ended) and not self.providers

    def proof(self, dataset: str | None = None) -> Proof:
        return Proof(
            closed_at=to_datetime(self.closed.closed_at),
            keys_revoked=self.closed.keys_revoked,
            schedules_stopped=self.schedules_stopped,
            runs_dropped=self.runs_dropped,
            runs_cancelled=self.runs_cancelled,
            credentials_destroyed=self.providers,
            dataset=dataset,
            export_uri=self.export_uri,
            exported=self.exported,
        )


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

    async def offboard(self, tenant_id: str, *, delete_dataset: bool, export_uri: str = "") -> Proof:
        """Ends the tenant. `export_uri`: where its dataset is exported to before; empty: nowhere. If a call before has done all of it, its
        proof. Raises NotFound; FailedPrecondition: DATASET_NOT_OURS if there is another dataset of its name to delete or export,
        EXPORT_REFUSED if it cannot be exported there.
        """
        progress, call = _Progress(closed=await self._close(tenant_id), export_uri=export_uri), str(uuid.uuid4())
        try:
            await self._end_runs(tenant_id, progress)
            # Last, because a run that is cancelled writes its end into the dataset. And before the export: what is recorded of it is
            # exported, too, and nothing that opens a cloud waits for a bucket.
            dataset = await self._destroy(tenant_id, progress, delete_dataset=False)
            if dataset == ABSENT:
                # A call that was killed behind its deletion has left its row open.
                await self._store.complete(tenant_id, self._clock.now())
            proven = await self._proven(tenant_id, dataset, export_uri)
            if proven and progress.is_empty and proven.covers(dataset, delete_dataset=delete_dataset):
                return proven
            if export_uri:
                progress.exported = await self._export(tenant_id, export_uri)
            if delete_dataset:
                dataset = await self._delete(tenant_id, progress, call, is_there=dataset != ABSENT)
        except (ConvergenceError, asyncio.CancelledError):
            # The next call does not count again what this one has ended. Shielded: the caller may be gone.
            record = self._store.prove(call, tenant_id, progress.proof(), self._clock.now(), request_id.get())
            with contextlib.suppress(Unavailable):
                await asyncio.shield(record)
            raise
        proof = progress.proof(dataset)
        await self._store.prove(call, tenant_id, proof, self._clock.now(), request_id.get())
        _log.info("tenant_offboarded", tenant_id=tenant_id, dataset=proof.dataset)
        return proof

    async def _proven(self, tenant_id: str, dataset: str, export_uri: str) -> Proof | None:
        """What calls before have proven; None: not this export. Once the dataset is gone, nothing more can be exported, so that the export
        which there is counts.
        """
        last = await self._store.proven(tenant_id, "" if dataset == ABSENT else export_uri)
        if last is None or not export_uri or last.export_uri == export_uri:
            return last
        exported = await self._store.exported(tenant_id, export_uri)
        return replace(last, export_uri=export_uri, exported=exported) if exported else last

    async def _export(self, tenant_id: str, export_uri: str) -> tuple[ExportedRows, ...]:
        answer = await self._credentials.ExportTenantData(ExportTenantDataRequest(tenant_id=tenant_id, export_uri=export_uri))
        exported = tuple(ExportedRows(table_name=one.table_name, row_count=one.row_count, uri=one.uri) for one in answer.tables)
        return exported or await self._store.exported(tenant_id, export_uri)  # of a dataset that a call before has deleted

    async def _delete(self, tenant_id: str, progress: _Progress, call: str, *, is_there: bool) -> str:
        """Deletes the dataset, once a row says so, and what this call has done so far: if it is killed, the next one knows."""
        if is_there:
            await self._store.prove(call, tenant_id, progress.proof(DELETING), self._clock.now(), request_id.get())
        dataset = await self._destroy(tenant_id, progress, delete_dataset=True)
        if not is_there:
            return dataset
        await self._store.complete(tenant_id, self._clock.now(), call=call)
        return DELETED

    async def _destroy(self, tenant_id: str, progress: _Progress, *, delete_dataset: bool) -> str:
        """Returns what has become of the dataset."""
        answer = await self._credentials.DestroyTenantData(DestroyTenantDataRequest(tenant_id=tenant_id, delete_dataset=delete_dataset))
        progress.providers += tuple(answer.providers)
        return str(answer.dataset)

    async def _close(self, tenant_id: str) -> CloseTenantResponse:
        answer: CloseTenantResponse = await self._auth.CloseTenant(CloseTenantRequest(tenant_id=tenant_id))
        return answer

    async def _end_runs(self, tenant_id: str, progress: _Progress) -> None:
        """Stops the schedules, cancels the active runs, and settles the claimed ones once none is active."""
        stopped = await self._store.stop(tenant_id, self._clock.now())
        progress.schedules_stopped, progress.runs_dropped = stopped.schedules_stopped, stopped.runs_dropped
        until, rounds = time.monotonic() + self._wait_seconds, 0
        active = await self._cancel(tenant_id, progress, until)
        # The second round finds nothing more, if nothing was queued, or claimed by a concurrent call of this kind, since the first.
        while not active and (rounds < 2 or time.monotonic() < until):  # noqa: PLR2004
            rounds += 1
            if stopped.claimed:
                never_began, unended = await self._settle_claims(stopped)
                progress.runs_dropped += never_began
                await asyncio.sleep(LOOK_SECONDS if unended else 0.0)
            elif not stopped.runs_left:
                return
            stopped = await self._store.stop(tenant_id, self._clock.now())
            progress.runs_dropped += stopped.runs_dropped
        raise Unavailable(
            "SERVICE_UNAVAILABLE",
            f"Tenant {tenant_id} is closed, but some of its runs are still ending. Repeat the call to complete it.",
            retry_after=AGAIN,
        )

    async def _cancel(self, tenant_id: str, progress: _Progress, until: float) -> int:
        """Returns how many runs are still active then (in monotonic seconds)."""
        active = progress.closed.active_runs
        while active:
            progress.runs_cancelled += await self._executor.cancel_tenant(tenant_id)
            active = (await self._close(tenant_id)).active_runs
            if time.monotonic() >= until:
                break
            await asyncio.sleep(LOOK_SECONDS if active else 0.0)
        return active

    async def _settle_claims(self, stopped: Stopped) -> tuple[int, int]:
        """Writes the ends of the claimed runs; returns how many had never begun, and how many have not ended yet."""
        assert stopped.claimed is not None  # noqa: S101 - for the type checker
        claims = await self._queue.claimed(stopped.claimed_by, stopped.claimed)
        states, now = await self._executor.states(claims), self._clock.now()
        ends = [end for claim, state in zip(claims, states, strict=True) if (end := end_of(claim, state, now)) is not None]
        if ends:
            await self._queue.settle(ends, now)
        return sum(not state.status for state in states), len(claims) - len(ends)
