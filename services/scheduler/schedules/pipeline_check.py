"""Asks the executor whether a pipeline exists and accepts a schedule's parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from convergence.executor.v1 import run_service_pb2 as messages
from convergence.executor.v1.run_service_pb2_grpc import RunServiceStub

from services.scheduler.schedules.schedule import Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedPipeline:
    """What the executor says of a pipeline that accepts the parameters."""

    dates: tuple[str, ...]
    """The names of its date parameters."""
    covers_months: bool
    """True if it runs for billing periods."""


class PipelineCheck:
    """`RunService.CheckPipeline` over a channel to the executor."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = RunServiceStub(channel)

    async def check(self, schedule: Schedule, parameters: Mapping[str, Any]) -> CheckedPipeline:
        """What the pipeline runs for.

        Raises NotFound if there is no such template, InvalidArgument naming `parameters.x` for a value that it does not accept, Unavailable
        if the executor does not answer.
        """
        request = messages.CheckPipelineRequest(
            tenant_id=schedule.tenant_id,
            provider=schedule.provider,
            domain=schedule.domain,
            template=schedule.pipeline_template,
        )
        request.parameters.update(parameters)
        answer = await self._stub.CheckPipeline(request)
        return CheckedPipeline(dates=tuple(answer.date_parameters), covers_months=answer.covers_months)
