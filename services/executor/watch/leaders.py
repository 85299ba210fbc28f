"""The other executors, any of which may execute a run that is watched here."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import grpc
import structlog
from convergence.executor.v1 import led_run_service_pb2 as messages
from convergence.executor.v1 import run_pb2
from convergence.executor.v1.led_run_service_pb2_grpc import LedRunServiceStub

from services.executor.led_runs import Line
from services.executor.records import DqResult, RunStatus, StepLog
from services.executor.watch.watched_run import WatchedRun
from services.platform.errors import ConvergenceError
from services.platform.rpc.structs import to_mapping
from services.platform.timestamps import to_datetime

ASK_SECONDS = 2.0
"""How long an executor has to say whether it leads a run."""
SILENCES = 3
"""A leader that is silent for so many times its keep-alive interval is taken for dead."""

_log = structlog.get_logger()


class OpenChannel(Protocol):
    """Opens a channel to an executor."""

    def __call__(self, *, address: str) -> grpc.aio.Channel:
        """To the executor at this `host:port`."""
        ...


class Leaders:
    """All executors behind one address. They are asked at once; the one that leads the run answers."""

    def __init__(self, address: str, open_channel: OpenChannel, *, heartbeat_seconds: float) -> None:
        """`address`: a host name that resolves to every executor, with a port; or `ipv4:a:1,b:2`. `heartbeat_seconds`: the keep-alive
        interval of all executors.
        """
        self._address, self._open_channel, self._silence = address, open_channel, SILENCES * heartbeat_seconds

    async def follow(self, tenant_id: str, pipeline_logging_id: str, watched: WatchedRun) -> bool:
        """Passes the run, its lines and its end to `watched` until its leader has recorded its end: then True. False if no executor says
        that it leads the run, or the leader cannot be reached any more. The end is missing if the leader does not know how the run has
        ended, or is of an older release.
        """
        request = messages.FollowRunRequest(tenant_id=tenant_id, pipeline_logging_id=pipeline_logging_id)
        async with AsyncExitStack() as stack:
            calls = list[Any]()
            for address in await addresses(self._address):
                channel = await stack.enter_async_context(self._open_channel(address=address))
                calls.append(LedRunServiceStub(channel).FollowRun(request))
            runs = await asyncio.gather(*map(_led_run, calls))
            for call, run in zip(calls, runs, strict=True):
                if run is None:
                    continue
                watched.begin(run)
                try:
                    async for answer in self._answers(call):
                        if answer.HasField("run"):
                            watched.end(answer.run)
                        elif line := _line(answer, run):
                            watched.add([line])
                except (grpc.aio.AioRpcError, TimeoutError) as error:
                    _log.info("leader_lost", pipeline_logging_id=pipeline_logging_id, error=type(error).__name__)
                    return watched.last is not None
                return True
        return False

    async def announce_end(self, tenant_id: str, pipeline_logging_id: str, status: RunStatus) -> None:
        """Lets all executors know that this one has ended the run. One that cannot be reached finds out by itself within seconds."""
        request = messages.NoteRunEndRequest(tenant_id=tenant_id, pipeline_logging_id=pipeline_logging_id, status=status)

        async def announce(address: str) -> None:
            try:
                async with asyncio.timeout(ASK_SECONDS), self._open_channel(address=address) as channel:
                    await LedRunServiceStub(channel).NoteRunEnd(request)
            except (ConvergenceError, grpc.aio.AioRpcError, TimeoutError) as error:
                _log.info("end_not_announced", address=address, error=type(error).__name__)

        await asyncio.gather(*map(announce, await addresses(self._address)))

    async def _answers(self, call: Any) -> AsyncIterator[messages.FollowRunResponse]:
        while True:
            async with asyncio.timeout(self._silence):
                answer = await call.read()
            if answer is grpc.aio.EOF:  # a call that broke raises its error instead
                return
            yield answer


async def addresses(target: str) -> list[str]:
    """Each `ip:port` behind a target, as gRPC writes them; none if the name cannot be resolved."""
    if target.startswith("ipv4:"):
        return target.removeprefix("ipv4:").split(",")
    host, _, port = target.removeprefix("dns:///").rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        _log.info("executors_not_found", address=target, error=type(error).__name__)
        return []
    return sorted({f"[{ip[0]!s}]:{port}" if family == socket.AF_INET6 else f"{ip[0]!s}:{port}" for family, _, _, _, ip in found})


async def _led_run(call: Any) -> run_pb2.Run | None:
    """The run, if the executor leads it; None if it does not, or does not answer."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            answer = await call.read()
    except (grpc.aio.AioRpcError, TimeoutError):
        return None
    return None if answer is grpc.aio.EOF else answer.run


def _line(answer: messages.FollowRunResponse, run: run_pb2.Run) -> Line | None:
    """The line as its row would be read, as far as watchers are shown it; None for a keep-alive."""
    user_id = run.user_id if run.HasField("user_id") else None
    owner: dict[str, Any] = {"tenant_id": run.tenant_id, "user_id": user_id, "pipeline_logging_id": run.pipeline_logging_id}
    match answer.WhichOneof("line"):
        case "step":
            step = answer.step
            return StepLog(
                **owner,
                log_id=answer.line_id,
                step_id=step.step_id,
                step_type=step.step_type,
                step_index=step.step_index,
                attempt=step.attempt,
                action=step.action,
                provider=None,
                status=step.status,
                rows_processed=step.rows_processed if step.HasField("rows_processed") else None,
                duration_ms=step.duration_ms if step.HasField("duration_ms") else None,
                error_message=step.error_message if step.HasField("error_message") else None,
                metadata=to_mapping(step.metadata, "metadata"),
                timestamp=to_datetime(step.timestamp),
            )
        case "dq_result":
            result = answer.dq_result
            return DqResult(
                **owner,
                dq_result_id=answer.line_id,
                step_id=result.step_id,
                table_name=result.table_name,
                check_name=result.check_name,
                severity=result.severity,
                status=result.status,
                observed_value=result.observed_value if result.HasField("observed_value") else None,
                threshold=result.threshold if result.HasField("threshold") else None,
                failing_rows=result.failing_rows,
                sample_rows=[to_mapping(row, "sample_rows") for row in result.sample_rows],
                executed_at=to_datetime(result.executed_at),
            )
        case _:
            return None
