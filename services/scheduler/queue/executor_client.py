"""A client of the executor's RunService."""

from collections.abc import Sequence
from datetime import datetime
from itertools import batched

import grpc
from convergence.executor.v1 import run_service_pb2 as messages
from convergence.executor.v1.run_service_pb2_grpc import RunServiceStub
from google.protobuf import struct_pb2, timestamp_pb2

from services.scheduler.queue.claims import Claim, Pipeline
from services.scheduler.queue.outcomes import AttemptState

BATCH_SIZE = 1000
TRIGGER_BY = "cloud_scheduler"


class ExecutorClient:
    """RunService over a channel. Raises the executor's errors, and Unavailable if it does not answer."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = RunServiceStub(channel)

    async def start(self, claim: Claim, pipeline: Pipeline, *, start_by: datetime) -> None:
        """Starts the claim's attempt, once: a repeated call, with the same claim or by its next holder, starts nothing. A call with
        `claim.is_new` must not be repeated. After `start_by` the executor begins nothing.
        """
        latest = timestamp_pb2.Timestamp()
        latest.FromDatetime(start_by)
        parameters = struct_pb2.Struct()
        parameters.update(claim.parameters)
        await self._stub.StartRun(
            messages.StartRunRequest(
                tenant_id=claim.tenant_id,
                pipeline_logging_id=claim.pipeline_logging_id,
                run_id=claim.run_id,
                attempt=claim.attempt,
                provider=pipeline.provider,
                domain=pipeline.domain,
                template=pipeline.template,
                parameters=parameters,
                as_of_date=claim.as_of_date(),
                trigger_type=claim.trigger_type,
                trigger_by=TRIGGER_BY,
                is_new=claim.is_new,
                start_by=latest,
            )
        )

    async def states(self, claims: Sequence[Claim]) -> list[AttemptState]:
        """The states of the claims' attempts, in the same order."""
        found = list[AttemptState]()
        for some in batched(claims, BATCH_SIZE, strict=False):
            keys = [messages.RunKey(tenant_id=one.tenant_id, pipeline_logging_id=one.pipeline_logging_id) for one in some]
            answer = await self._stub.GetRunStates(messages.GetRunStatesRequest(runs=keys))
            found += [AttemptState(status=one.status, error_message=one.error_message, is_final=one.is_final) for one in answer.states]
        return found

    async def cancel_tenant(self, tenant_id: str) -> int:
        """Cancels all active runs of an offboarded tenant; returns how many."""
        answer = await self._stub.CancelTenantRuns(messages.CancelTenantRunsRequest(tenant_id=tenant_id))
        cancelled: int = answer.cancelled_count
        return cancelled

    async def reconcile(self) -> None:
        """Makes the executor end the runs of dead executors."""
        await self._stub.ReconcileRuns(messages.ReconcileRunsRequest())
