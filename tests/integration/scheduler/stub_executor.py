"""An executor whose runs end when the test says so."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from convergence.executor.v1 import run_service_pb2 as messages
from convergence.executor.v1.run_service_pb2_grpc import RunServiceServicer

from services.platform.errors import ConvergenceError, Unavailable


@dataclass
class StubExecutor(RunServiceServicer):
    """Keeps runs by `pipeline_logging_id`, and starts one once, as the real one does."""

    asked: list[messages.StartRunRequest] = field(default_factory=list)
    started: Counter[str] = field(default_factory=Counter)
    """How often each run really began."""
    runs: dict[str, messages.RunState] = field(default_factory=dict)
    refusal: ConvergenceError | None = None
    """What every StartRun is refused with."""
    loses_answers: bool = False
    """StartRun begins the run, and its caller gets no answer."""
    reconciled: int = 0

    async def CheckPipeline(self, request: messages.CheckPipelineRequest, context: Any) -> messages.CheckPipelineResponse:
        return messages.CheckPipelineResponse()

    async def StartRun(self, request: messages.StartRunRequest, context: Any) -> messages.StartRunResponse:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        identity = request.pipeline_logging_id
        if identity not in self.runs:
            self.runs[identity] = messages.RunState(pipeline_logging_id=identity, status="RUNNING")
            self.started[identity] += 1
        if self.loses_answers:
            raise Unavailable("SERVICE_UNAVAILABLE", "The connection broke.")
        return messages.StartRunResponse(status=self.runs[identity].status)

    async def GetRunStates(self, request: messages.GetRunStatesRequest, context: Any) -> messages.GetRunStatesResponse:
        ids = [key.pipeline_logging_id for key in request.runs]
        return messages.GetRunStatesResponse(states=[self.runs.get(one, messages.RunState(pipeline_logging_id=one)) for one in ids])

    async def CancelTenantRuns(self, request: messages.CancelTenantRunsRequest, context: Any) -> messages.CancelTenantRunsResponse:
        active = self.active(request.tenant_id)
        for run in active:
            run.status = "CANCELLED"
        return messages.CancelTenantRunsResponse(cancelled_count=len(active))

    async def ReconcileRuns(self, request: messages.ReconcileRunsRequest, context: Any) -> messages.ReconcileRunsResponse:
        self.reconciled += 1
        return messages.ReconcileRunsResponse()

    def active(self, tenant_id: str) -> list[messages.RunState]:
        """The tenant's runs that are RUNNING."""
        own = {request.pipeline_logging_id for request in self.asked if request.tenant_id == tenant_id}
        return [run for identity, run in self.runs.items() if identity in own and run.status == "RUNNING"]

    def end_all(self, status: str = "COMPLETED", *, error_message: str = "", is_final: bool = False) -> None:
        """Every run that is RUNNING ends so."""
        for run in self.runs.values():
            if run.status == "RUNNING":
                run.status, run.error_message, run.is_final = status, error_message, is_final
