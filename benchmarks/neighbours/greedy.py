"""The tenant that takes all it can get, and a bad key, as one process: `python -m benchmarks.neighbours.greedy`.

Its arguments come as one JSON object. It begins at once, ends when its standard input is closed, and prints as JSON how often it got which
answer to what.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from convergence.auth.v1.quota_service_pb2 import GetQuotaRequest
from convergence.auth.v1.quota_service_pb2_grpc import QuotaServiceStub
from convergence.executor.v1.pipeline_service_pb2 import RunPipelineRequest
from convergence.executor.v1.pipeline_service_pb2_grpc import PipelineServiceStub
from convergence.executor.v1.watch_service_pb2 import WatchRunRequest
from convergence.executor.v1.watch_service_pb2_grpc import WatchServiceStub
from convergence.scheduler.v1.schedule_service_pb2 import ListSchedulesRequest
from convergence.scheduler.v1.schedule_service_pb2_grpc import ScheduleServiceStub
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status.rpc_status import from_call

WATCHERS: Final = 200
WATCHERS_A_CONNECTION: Final = 50
RUNS: Final = 24
BAD_KEY_EVERY: Final = 0.05
"""Seconds from one call with the bad key to the next."""
LIST_AGAIN: Final = 0.02
"""Seconds that the loop of lists pauses after a refusal, so that it is not this process that takes the CPU."""
WATCH_AGAIN: Final = 10.0
"""Seconds after which a watcher that was refused tries again."""
RANK: Final = 10
PAGE: Final = 200
SECONDS: Final = 60.0


@dataclass(kw_only=True)
class Greedy:
    """Everything it does, and what it got."""

    address: str
    tenant_id: str
    api_key: str = field(repr=False)
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def own(self) -> list[tuple[str, str]]:
        """The metadata of its calls."""
        return [("x-api-key", self.api_key)]

    async def all_at_once(self) -> None:
        """Goes on until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._runs_and_watchers())
            group.create_task(self._lists())
            group.create_task(self._bad_keys())

    def _channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])

    async def _got(self, what: str, call: Awaitable[Any]) -> Any:
        try:
            answer = await call
        except grpc.aio.AioRpcError as refused:
            self.answers[f"{what} {_reason(refused)}"] += 1
            return None
        self.answers[f"{what} OK"] += 1
        return answer

    async def _runs_and_watchers(self) -> None:
        async with self._channel() as channel, asyncio.TaskGroup() as group:
            stub = PipelineServiceStub(channel)
            watched = asyncio.get_running_loop().create_future()

            async def run(number: int) -> None:
                # One waits, so that there is something to watch; the others work.
                template = "tiny" if number else "waiting"
                request = RunPipelineRequest(tenant_id=self.tenant_id, provider="gcp", domain="cost", template=template)
                started = await self._got("run", stub.RunPipeline(request, metadata=self.own, timeout=SECONDS))
                if not number:
                    watched.set_result(started.pipeline_logging_id if started else "")

            for number in range(RUNS):
                group.create_task(run(number))
            request = WatchRunRequest(tenant_id=self.tenant_id, pipeline_logging_id=await watched)
            for _ in range(WATCHERS // WATCHERS_A_CONNECTION):
                group.create_task(self._watchers(request))

    async def _watchers(self, request: WatchRunRequest) -> None:
        async with self._channel() as channel, asyncio.TaskGroup() as group:
            stub = WatchServiceStub(channel)

            async def watch() -> None:
                while True:
                    stream, events = stub.WatchRun(request, metadata=self.own), 0
                    try:
                        async for _ in stream:
                            self.answers["watch OK"] += not events
                            events += 1
                    except grpc.aio.AioRpcError as refused:
                        self.answers[f"watch {_reason(refused)}"] += 1
                    await asyncio.sleep(WATCH_AGAIN)

            for _ in range(WATCHERS_A_CONNECTION):
                group.create_task(watch())

    async def _lists(self) -> None:
        async with self._channel() as channel:
            stub, request = ScheduleServiceStub(channel), ListSchedulesRequest(tenant_id=self.tenant_id, page_size=PAGE)
            while True:
                page = await self._got("list", stub.ListSchedules(request, metadata=self.own, timeout=SECONDS))
                request.page_token = page.next_page_token if page else ""
                if page is None:
                    await asyncio.sleep(LIST_AGAIN)

    async def _bad_keys(self) -> None:
        async with self._channel() as channel:
            stub, request = QuotaServiceStub(channel), GetQuotaRequest(tenant_id=self.tenant_id)
            loop = asyncio.get_running_loop()
            due, running = loop.time(), set[asyncio.Task[Any]]()
            while True:
                call = self._got("bad key", stub.GetQuota(request, metadata=[("x-api-key", "a_bad_key")], timeout=SECONDS))
                running.add(task := asyncio.create_task(call))
                task.add_done_callback(running.discard)
                due += BAD_KEY_EVERY
                await asyncio.sleep(max(0.0, due - loop.time()))


def _reason(refused: grpc.aio.AioRpcError) -> str:
    info = ErrorInfo()
    status = from_call(refused)
    if status is not None and any(detail.Unpack(info) for detail in status.details):
        return str(info.reason)
    return str(refused.code().name)


async def until_closed(forever: Callable[[], Awaitable[None]]) -> None:
    """Runs it until the standard input is closed."""
    task = asyncio.ensure_future(forever())
    closed = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    await asyncio.wait({task, closed}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    task.cancel()
    await asyncio.wait({task})


def main() -> None:
    """Runs until the standard input is closed."""
    os.nice(RANK)
    greedy = Greedy(**json.loads(sys.argv[1]))
    asyncio.run(until_closed(greedy.all_at_once))
    print(json.dumps(dict(sorted(greedy.answers.items()))))


if __name__ == "__main__":
    main()
