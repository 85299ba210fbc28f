"""WatchService: decode, call the domain, encode a stream."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from convergence.executor.v1 import watch_service_pb2 as messages
from convergence.executor.v1.watch_service_pb2_grpc import WatchServiceServicer

from services.executor.records import DqResult, Run, StepLog
from services.executor.runs.watch import Event, Watch
from services.executor.servicers.to_proto import to_dq_result, to_run, to_step_log
from services.executor.settings import ExecutorSettings
from services.executor.store import Store

type Context = grpc.aio.ServicerContext[Any, Any]


class WatchServicer(WatchServiceServicer):
    """Streams the events of a run."""

    def __init__(self, store: Store, settings: ExecutorSettings) -> None:
        self._store, self._settings = store, settings

    async def WatchRun(self, request: messages.WatchRunRequest, context: Context) -> AsyncIterator[messages.RunEvent]:
        """Streams until the run has ended. Raises NotFound."""
        watch = Watch(
            store=self._store,
            tenant_id=request.tenant_id,
            pipeline_logging_id=request.pipeline_logging_id,
            poll_seconds=self._settings.watch_poll_seconds,
            heartbeat_seconds=self._settings.watch_silence_seconds,
        )
        async for event in watch.events():
            yield _to_event(event)


def _to_event(event: Event) -> messages.RunEvent:
    match event:
        case Run():
            return messages.RunEvent(event="RUN", run=to_run(event))
        case StepLog():
            return messages.RunEvent(event="STEP", step=to_step_log(event))
        case DqResult():
            return messages.RunEvent(event="QUALITY", dq_result=to_dq_result(event))
        case _:
            return messages.RunEvent(event="WAITING")
