"""WatchService: decode, call the domain, encode a stream."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
from convergence.executor.v1 import run_pb2
from convergence.executor.v1 import watch_service_pb2 as messages
from convergence.executor.v1.watch_service_pb2_grpc import WatchServiceServicer

from services.executor.records import DqResult, Run, StepLog
from services.executor.servicers.to_proto import to_dq_result, to_run, to_step_log
from services.executor.watch.places import Place, Placed
from services.executor.watch.watchers import Watchers
from services.executor.watch.watches import Watches
from services.platform.access.caller import current_caller

type Context = grpc.aio.ServicerContext[Any, Any]


class WatchServicer(WatchServiceServicer):
    """Streams the events of a run."""

    def __init__(self, watches: Watches, watchers: Watchers) -> None:
        self._watches, self._watchers = watches, watchers

    async def WatchRun(self, request: messages.WatchRunRequest, context: Context) -> AsyncIterator[messages.RunEvent]:
        """Streams until the run has ended. Raises NotFound, InvalidArgument for a `last_event_id` that is no event's, and
        ResourceExhausted beyond the caps on watches. An event is taken from the run's shared lines when gRPC has sent the one before, so a
        client that does not read takes no memory for the rest.
        """
        tenant_id, last = request.tenant_id, Place.parse(request.last_event_id)
        with self._watchers.one_more(tenant_id, current_caller().limits.max_watchers):
            async with aclosing(self._watches.events(tenant_id, request.pipeline_logging_id, last)) as events:
                async for placed in events:
                    yield _to_event(placed)


def _to_event(placed: Placed) -> messages.RunEvent:
    place, event = placed
    id_ = "" if place is None else str(place)
    match event:
        case Run():
            return messages.RunEvent(id=id_, event="RUN", run=to_run(event))
        case run_pb2.Run():
            return messages.RunEvent(id=id_, event="RUN", run=event)
        case StepLog():
            return messages.RunEvent(id=id_, event="STEP", step=to_step_log(event))
        case DqResult():
            return messages.RunEvent(id=id_, event="QUALITY", dq_result=to_dq_result(event))
        case _:
            return messages.RunEvent(event="WAITING")
