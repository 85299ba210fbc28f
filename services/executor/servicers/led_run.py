"""LedRunService: decode, read this process's memory, encode a stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from convergence.executor.v1 import led_run_service_pb2 as messages
from convergence.executor.v1.led_run_service_pb2_grpc import LedRunServiceServicer

from services.executor.led_runs import LedRuns, Line, line_id
from services.executor.records import RunStatus, StepLog
from services.executor.servicers.from_request import to_status
from services.executor.servicers.to_proto import to_dq_result, to_run, to_step_log
from services.executor.store import no_such_run

type Context = grpc.aio.ServicerContext[Any, Any]
type StopRun = Callable[[str, RunStatus], None]
"""Stops a run of this process, given its id, that another process has ended so."""


class LedRunServicer(LedRunServiceServicer):
    """LedRunService, as the proto describes it."""

    def __init__(self, led_runs: LedRuns, *, heartbeat_seconds: float, stop_run: StopRun) -> None:
        """`heartbeat_seconds`: the longest time without an answer."""
        self._led_runs, self._heartbeat_seconds, self._stop_run = led_runs, heartbeat_seconds, stop_run
        self._streams = set[asyncio.Task[Any]]()

    async def FollowRun(self, request: messages.FollowRunRequest, context: Context) -> AsyncIterator[messages.FollowRunResponse]:
        """Raises NotFound if the run is not executed here."""
        led = self._led_runs.find(request.tenant_id, request.pipeline_logging_id)
        if led is None:
            raise no_such_run()
        stream = asyncio.current_task()
        assert stream is not None  # noqa: S101 - a handler is a task
        self._streams.add(stream)
        stream.add_done_callback(self._streams.discard)
        yield messages.FollowRunResponse(run=to_run(led.last or led.run))
        sent, feed = 0, led.feed
        while sent < len(feed.lines) or not feed.is_closed:
            try:
                async with asyncio.timeout(self._heartbeat_seconds):
                    await feed.more(sent)
            except TimeoutError:
                yield messages.FollowRunResponse()
            while sent < len(feed.lines):
                sent += 1
                yield _answer(feed.lines[sent - 1])
        if led.last is not None:
            yield messages.FollowRunResponse(run=to_run(led.last))

    async def NoteRunEnd(self, request: messages.NoteRunEndRequest, context: Context) -> messages.NoteRunEndResponse:
        """Stops the run if it is executed here. Raises InvalidArgument."""
        status = to_status(request.status)
        led = self._led_runs.find(request.tenant_id, request.pipeline_logging_id)
        if led is not None and status is not None and not led.has_ended:
            # Its row says the rest.
            self._led_runs.note_end(request.tenant_id, request.pipeline_logging_id, None)
            self._stop_run(request.pipeline_logging_id, status)
        return messages.NoteRunEndResponse()

    def stop(self) -> None:
        """Breaks the streams off: this process is stopping, and should not wait for those who watch its runs elsewhere."""
        for stream in self._streams:
            stream.cancel()


def _answer(line: Line) -> messages.FollowRunResponse:
    if isinstance(line, StepLog):
        return messages.FollowRunResponse(line_id=line_id(line), step=to_step_log(line))
    return messages.FollowRunResponse(line_id=line_id(line), dq_result=to_dq_result(line))
