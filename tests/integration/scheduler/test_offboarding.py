"""The end of a tenant inside the scheduler: real tables, and peers that end runs, fail and recover when the test says so."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
import pytest
from convergence.auth.v1 import closing_service_pb2
from convergence.auth.v1.closing_service_pb2_grpc import ClosingServiceServicer, add_ClosingServiceServicer_to_server
from convergence.credentials.v1 import destruction_service_pb2
from convergence.credentials.v1.destruction_service_pb2_grpc import DestructionServiceServicer, add_DestructionServiceServicer_to_server

from services.auth.tenants.store import TenantStore
from services.platform.errors import FailedPrecondition, NotFound, Unavailable
from services.platform.rpc.peers import peer_channel
from services.platform.server import Served
from services.platform.timestamps import to_timestamp
from services.scheduler.offboarding.ends import OFFBOARDED, ExportedRows
from services.scheduler.offboarding.peers import Peers
from services.scheduler.offboarding.process import TenantOffboarding
from services.scheduler.offboarding.store import OffboardingStore
from services.scheduler.queue.store import QueueStore
from services.scheduler.queue.trigger_plan import plan_trigger
from services.scheduler.settings import SchedulerSettings
from tests.conftest import serving
from tests.integration.scheduler.conftest import LEASE, MakeScheduler, NoKeys, Scheduler, Tables
from tests.integration.scheduler.stub_executor import StubExecutor


@dataclass
class StubAuth(ClosingServiceServicer):
    """Closes tenants in the real tables; the ledger's reservations are those that `executor` has of active runs, and `stuck`."""

    tenants: TenantStore
    tables: Tables
    executor: StubExecutor
    stuck: int = 0

    async def CloseTenant(self, request: closing_service_pb2.CloseTenantRequest, context: Any) -> closing_service_pb2.CloseTenantResponse:
        closed = await self.tenants.close(request.tenant_id, self.tables.clock.now())
        return closing_service_pb2.CloseTenantResponse(
            keys_revoked=closed.keys_revoked,
            closed_at=to_timestamp(closed.closed_at),
            active_runs=len(self.executor.active(request.tenant_id)) + self.stuck,
        )


@dataclass
class StubCredentials(DestructionServiceServicer):
    """Deletes when it does not fail."""

    asked: list[destruction_service_pb2.DestroyTenantDataRequest] = field(default_factory=list)
    exports: list[tuple[int, str]] = field(default_factory=list)
    """After how many calls to delete it was asked to export, and whereto."""
    failures: int = 0
    fails_deletion: bool = False
    killed: asyncio.Event | None = None
    """Set when the dataset is deleted; the caller gets no answer."""
    holds: asyncio.Event | None = None
    """Set when it is asked to destroy anything; there is no answer then."""
    is_deleted: bool = False

    async def DestroyTenantData(
        self, request: destruction_service_pb2.DestroyTenantDataRequest, context: Any
    ) -> destruction_service_pb2.DestroyTenantDataResponse:
        self.asked.append(request)
        if self.holds:
            self.holds.set()
            await asyncio.Event().wait()
        if self.failures or (self.fails_deletion and request.delete_dataset):
            self.failures -= not self.fails_deletion
            raise Unavailable("BIGQUERY_UNAVAILABLE", "BigQuery does not answer.")
        providers = ["AWS", "GCP"] if len(self.asked) == 1 else []
        dataset = "ABSENT" if self.is_deleted else "DELETED" if request.delete_dataset else "KEPT"
        self.is_deleted |= request.delete_dataset
        if self.killed and request.delete_dataset:
            self.killed.set()
            await asyncio.Event().wait()
        return destruction_service_pb2.DestroyTenantDataResponse(providers=providers, dataset=dataset)

    async def ExportTenantData(
        self, request: destruction_service_pb2.ExportTenantDataRequest, context: Any
    ) -> destruction_service_pb2.ExportTenantDataResponse:
        self.exports.append((len(self.asked), request.export_uri))
        if len(self.exports) == 1:
            raise Unavailable("SERVICE_UNAVAILABLE", "1 of 2 tables are exported.")
        if len(self.exports) == 2:
            raise FailedPrecondition("EXPORT_REFUSED", "Access denied.")
        table = destruction_service_pb2.ExportedTenantTable(table_name="t", row_count=2**40, uri=f"{request.export_uri}/t/*")
        return destruction_service_pb2.ExportTenantDataResponse(tables=[] if self.is_deleted else [table])


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The offboarding of one scheduler process, with its peers."""

    process: TenantOffboarding
    patient: TenantOffboarding
    """Waits for what another call has taken over."""
    auth: StubAuth
    credentials: StubCredentials


@pytest.fixture
async def ending(
    tables: Tables, executor: StubExecutor, scheduler_settings: SchedulerSettings, to_executor: grpc.aio.Channel
) -> AsyncIterator[Ending]:
    auth, credentials = StubAuth(TenantStore(tables.bq), tables, executor), StubCredentials()

    async with AsyncExitStack() as stack:

        async def channel(peer: str, served: Served) -> grpc.aio.Channel:
            address = await stack.enter_async_context(serving(scheduler_settings, name=peer, authenticator=NoKeys(), served=[served]))
            return await stack.enter_async_context(peer_channel(scheduler_settings, caller="scheduler", peer=peer, address=address))

        closing = Served(name="convergence.auth.v1.ClosingService", add=add_ClosingServiceServicer_to_server, servicer=auth)
        destruction = Served(
            name="convergence.credentials.v1.DestructionService", add=add_DestructionServiceServicer_to_server, servicer=credentials
        )
        peers = Peers(auth=await channel("auth", closing), credentials=await channel("credentials", destruction), executor=to_executor)
        store, queue = OffboardingStore(tables.bq), QueueStore(tables.bq)
        process = TenantOffboarding(store=store, queue=queue, peers=peers, clock=tables.clock, wait_seconds=0.0)
        patient = TenantOffboarding(store=store, queue=queue, peers=peers, clock=tables.clock)
        yield Ending(process=process, patient=patient, auth=auth, credentials=credentials)


@pytest.fixture
async def other(tables: Tables) -> str:
    """A config of a tenant that stays."""
    (config_id,) = await tables.schedules(await tables.tenants())
    return config_id


async def by_config(tables: Tables) -> dict[str, list[tuple[str, str | None, str | None]]]:
    found = dict[str, list[tuple[str, str | None, str | None]]]()
    for run in await tables.runs():
        found.setdefault(run["config_id"], []).append((run["state"], run["queue_state"], run["error_message"]))
    return found


async def test_a_tenants_runs_end_however_far_they_are(
    tables: Tables, scheduler: Scheduler, executor: StubExecutor, ending: Ending, other: str
) -> None:
    """One has COMPLETED and is not settled yet, one is active, one waits, one of a paused schedule waits; another tenant loses nothing."""
    (tenant_id,) = await tables.tenants()
    done, active, waiting, paused = await tables.schedules([tenant_id] * 4, max_retries=3)
    await scheduler.trigger.fire()
    await tables.run("UPDATE tenant_pipeline_configs SET is_active = FALSE WHERE config_id = @id", {"id": ("STRING", paused)})
    first = {"first": ("ARRAY<STRING>", [done, active])}
    await tables.run("UPDATE pipeline_execution_queue SET priority = 0 WHERE config_id NOT IN UNNEST(@first)", first)
    assert await scheduler.process(2) == 2
    (finished,) = [one.pipeline_logging_id for one in executor.asked if one.run_id in await run_ids(tables, done)]
    executor.runs[finished].status = "COMPLETED"

    proof = await ending.process.offboard(tenant_id, delete_dataset=True)

    assert (proof.schedules_stopped, proof.runs_dropped, proof.runs_cancelled) == (3, 2, 1)
    assert (proof.credentials_destroyed, proof.dataset) == (("AWS", "GCP"), "DELETED")
    assert [(one.tenant_id, one.delete_dataset) for one in ending.credentials.asked] == [(tenant_id, False), (tenant_id, True)]
    expected = {done: ("COMPLETED", None, None), active: ("FAILED", None, OFFBOARDED)}
    expected |= dict.fromkeys((waiting, paused), ("FAILED", None, OFFBOARDED))
    found = await by_config(tables)
    assert found.pop(other) == [("PENDING", "QUEUED", None)]
    assert found == {config: [end] for config, end in expected.items()}
    # The process that held the claims finds them lost, and writes nothing.
    await scheduler.poll()
    assert await scheduler.process(10) == 1
    tables.clock.time += timedelta(seconds=1)
    assert await ending.process.offboard(tenant_id, delete_dataset=False) == proof


async def run_ids(tables: Tables, config_id: str) -> set[str]:
    return {run["run_id"] for run in await tables.runs() if run["config_id"] == config_id}


async def test_a_call_that_broke_off_is_completed_by_the_next(tables: Tables, scheduler: Scheduler, ending: Ending) -> None:
    """Wherever it breaks off: while runs are still ending, or when credentials do not answer."""
    (tenant_id,) = await tables.tenants()
    await tables.schedules([tenant_id])
    await scheduler.trigger.fire()
    ending.auth.stuck, ending.credentials.failures = 1, 1
    with pytest.raises(Unavailable) as late:
        await ending.process.offboard(tenant_id, delete_dataset=False)
    assert (late.value.reason, bool(late.value.retry_after), ending.credentials.asked) == ("SERVICE_UNAVAILABLE", True, [])
    ending.auth.stuck = 0
    tables.clock.time += timedelta(seconds=1)
    with pytest.raises(Unavailable):
        await ending.process.offboard(tenant_id, delete_dataset=False)
    tables.clock.time += timedelta(seconds=1)
    ending.credentials.asked.clear()
    proof = await ending.process.offboard(tenant_id, delete_dataset=False)
    assert (proof.credentials_destroyed, [run["state"] for run in await tables.runs()]) == (("AWS", "GCP"), ["FAILED"])
    # What the calls that broke off have ended is written down, too: together they prove all of it.
    proofs = await tables.run(
        "SELECT * FROM tenant_offboardings WHERE tenant_id = @id ORDER BY completed_at", {"id": ("STRING", tenant_id)}
    )
    assert [(one["schedules_stopped"], one["dataset"], one["completed_at"] is None) for one in proofs][-1] == (0, "KEPT", False)
    assert (len(proofs), sum(one["schedules_stopped"] for one in proofs), sum(one["runs_dropped"] for one in proofs)) == (3, 1, 1)
    with pytest.raises(NotFound):
        await ending.process.offboard("t_missing", delete_dataset=False)


async def test_the_dataset_is_exported_after_the_credentials_are_gone_and_before_it_is_deleted(
    tables: Tables, scheduler: Scheduler, ending: Ending
) -> None:
    """While the export is under way, or BigQuery refuses it, nothing is deleted. The proof says what was exported, by whichever call."""
    (tenant_id,) = await tables.tenants()
    uri, credentials = f"gs://bucket/{tenant_id}", ending.credentials
    for error in (Unavailable, FailedPrecondition):
        with pytest.raises(error):
            await ending.process.offboard(tenant_id, delete_dataset=True, export_uri=uri)
        tables.clock.time += timedelta(seconds=1)
    assert [one.delete_dataset for one in credentials.asked] == [False, False]

    proof = await ending.process.offboard(tenant_id, delete_dataset=True, export_uri=uri)

    assert [one.delete_dataset for one in credentials.asked] == [False, False, False, True]
    assert credentials.exports == [(1, uri), (2, uri), (3, uri)]
    exported = ExportedRows(table_name="t", row_count=2**40, uri=f"{uri}/t/*")
    assert (proof.dataset, proof.export_uri, proof.exported) == ("DELETED", uri, (exported,))
    written = await tables.run(
        "SELECT * FROM tenant_offboardings WHERE tenant_id = @id ORDER BY completed_at, credentials_destroyed[SAFE_OFFSET(0)] DESC",
        {"id": ("STRING", tenant_id)},
    )
    assert [(one["export_uri"], one["dataset"], one["credentials_destroyed"]) for one in written] == [
        (uri, None, ["AWS", "GCP"]),
        (uri, None, []),
        (uri, "DELETED", []),
    ]
    assert [one["exported"] for one in written] == [[], [], [{"table_name": "t", "row_count": 2**40, "uri": f"{uri}/t/*"}]]

    tables.clock.time += timedelta(seconds=1)
    again = await ending.process.offboard(tenant_id, delete_dataset=True, export_uri=uri)
    assert again == proof, "what was proven"
    for given in (f"{uri}2", ""):
        assert await ending.process.offboard(tenant_id, delete_dataset=True, export_uri=given) == proof, "nothing more can be exported"
    assert len(await proofs(tables, tenant_id)) == len(written)


async def test_a_dataset_that_was_exported_and_deleted_by_two_calls_has_both_in_each_answer(tables: Tables, ending: Ending) -> None:
    (tenant_id,) = await tables.tenants()
    ending.credentials.exports += [(0, "")] * 2  # those that fail
    uri = f"gs://bucket/{tenant_id}"
    kept = await ending.process.offboard(tenant_id, delete_dataset=False, export_uri=uri)
    tables.clock.time += timedelta(seconds=1)
    deleted = await ending.process.offboard(tenant_id, delete_dataset=True)
    again = await ending.process.offboard(tenant_id, delete_dataset=True, export_uri=uri)
    assert (again.dataset, again.export_uri, again.exported) == ("DELETED", uri, kept.exported)
    assert (deleted.dataset, deleted.exported, len(kept.exported)) == ("DELETED", (), 1)
    assert [one["dataset"] for one in await proofs(tables, tenant_id)] == ["KEPT", "DELETED"]


async def test_a_call_whose_caller_goes_away_has_left_what_it_ended(tables: Tables, ending: Ending) -> None:
    (tenant_id,) = await tables.tenants()
    await tables.schedules([tenant_id])
    ending.credentials.holds = asyncio.Event()
    call = asyncio.create_task(ending.process.offboard(tenant_id, delete_dataset=False))
    await ending.credentials.holds.wait()
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    ending.credentials.holds = None
    tables.clock.time += timedelta(seconds=1)
    proof = await ending.process.offboard(tenant_id, delete_dataset=False)
    assert (proof.schedules_stopped, proof.dataset) == (0, "KEPT")
    written = await proofs(tables, tenant_id)
    assert sorted((one["schedules_stopped"], one["dataset"] or "") for one in written) == [(0, "KEPT"), (1, "")]


async def test_a_repeated_call_writes_no_proof_unless_it_ends_something(tables: Tables, ending: Ending) -> None:
    """A dataset that was kept may be deleted by a later call."""
    (tenant_id,) = await tables.tenants()
    await tables.schedules([tenant_id])
    kept = await ending.process.offboard(tenant_id, delete_dataset=False)
    tables.clock.time += timedelta(seconds=1)
    assert await ending.process.offboard(tenant_id, delete_dataset=False) == kept
    deleted = await ending.process.offboard(tenant_id, delete_dataset=True)
    for choice in (True, False):
        tables.clock.time += timedelta(seconds=1)
        assert await ending.process.offboard(tenant_id, delete_dataset=choice) == deleted
    assert (kept.schedules_stopped, kept.dataset, deleted.schedules_stopped, deleted.dataset) == (1, "KEPT", 0, "DELETED")
    assert [one["dataset"] for one in await proofs(tables, tenant_id)] == ["KEPT", "DELETED"]


async def test_a_process_that_is_killed_behind_the_deletion_has_left_what_it_did(tables: Tables, ending: Ending) -> None:
    """Before the deletion a row says that it is done now, and by the next call that it was. One that only failed there leaves no end."""
    (tenant_id,) = await tables.tenants()
    await tables.schedules([tenant_id])
    uri, credentials = f"gs://bucket/{tenant_id}", ending.credentials
    credentials.exports += [(0, "")] * 2  # those that fail
    credentials.fails_deletion = True
    with pytest.raises(Unavailable):
        await ending.process.offboard(tenant_id, delete_dataset=True, export_uri=uri)
    tables.clock.time += timedelta(seconds=1)
    credentials.fails_deletion, credentials.killed = False, asyncio.Event()
    call = asyncio.create_task(ending.process.offboard(tenant_id, delete_dataset=True, export_uri=uri))
    await credentials.killed.wait()
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    credentials.killed = None
    assert [(one["dataset"], one["completed_at"]) for one in await proofs(tables, tenant_id)] == [("DELETING", None)] * 2

    tables.clock.time += timedelta(seconds=1)
    proof = await ending.process.offboard(tenant_id, delete_dataset=True, export_uri=uri)

    exported = ExportedRows(table_name="t", row_count=2**40, uri=f"{uri}/t/*")
    assert (proof.dataset, proof.exported) == ("DELETED", (exported,))
    assert await ending.process.offboard(tenant_id, delete_dataset=True, export_uri=uri) == proof
    written = await proofs(tables, tenant_id)
    assert [(one["dataset"], one["completed_at"] is None, len(one["exported"])) for one in written] == [("DELETED", False, 1)] * 2
    assert sum(one["schedules_stopped"] for one in written) == 1


async def proofs(tables: Tables, tenant_id: str) -> list[dict[str, Any]]:
    statement = "SELECT * FROM tenant_offboardings WHERE tenant_id = @id ORDER BY completed_at"
    return await tables.run(statement, {"id": ("STRING", tenant_id)})


async def test_a_claim_that_is_refused_at_this_moment_is_not_queued_again(
    tables: Tables, make_scheduler: MakeScheduler, executor: StubExecutor, ending: Ending
) -> None:
    """Its holder learns that no run of the tenant is admitted, and puts the run back: it has lost the claim."""
    (tenant_id,) = await tables.tenants()
    await tables.schedules([tenant_id])
    scheduler = await make_scheduler()
    await scheduler.trigger.fire()
    executor.refusal = Unavailable("SERVICE_UNAVAILABLE", "x")
    span = (await scheduler.store.look(tables.clock.now())).span
    assert span
    now = tables.clock.now()
    claims = await scheduler.store.claim("holder", 1, span, now, now.replace(year=now.year + 1))
    proof = await ending.process.offboard(tenant_id, delete_dataset=False)
    scheduler.watcher.start(claims, lease_expires_at=now + LEASE)
    await scheduler.started()
    assert (proof.runs_dropped, [(run["state"], run["queue_state"]) for run in await tables.runs()]) == (1, [("FAILED", None)])


async def test_a_trigger_that_has_read_before_queues_nothing(tables: Tables, scheduler: Scheduler, ending: Ending) -> None:
    (tenant_id,) = await tables.tenants()
    await tables.schedules([tenant_id])
    now = tables.clock.now()
    due = plan_trigger(await scheduler.store.due_schedules(now), now)
    assert due.firings
    await ending.process.offboard(tenant_id, delete_dataset=False)
    queued = await scheduler.store.enqueue(due, now)
    assert (queued.triggered, queued.queued, await tables.runs()) == (0, 0, [])
    assert (await scheduler.trigger.fire()).queued == 0


async def test_two_calls_at_once_end_the_same_tenant(tables: Tables, scheduler: Scheduler, ending: Ending) -> None:
    (tenant_id,) = await tables.tenants()
    await tables.schedules([tenant_id] * 3)
    await scheduler.trigger.fire()
    await scheduler.process(1)
    await asyncio.gather(*(ending.patient.offboard(tenant_id, delete_dataset=False) for _ in range(2)))
    assert {(run["state"], run["queue_state"]) for run in await tables.runs()} == {("FAILED", None)}
