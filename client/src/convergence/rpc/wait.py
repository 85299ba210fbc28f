"""Waiting for a run, on top of the generated calls."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator

from convergence.executor.v1 import run_pb2, watch_service_pb2
from convergence.rpc.errors import RunCancelled, RunFailed


def completed(run: run_pb2.Run) -> run_pb2.Run:
    """The run, if it COMPLETED. Raises RunCancelled or RunFailed otherwise."""
    if run.status == "COMPLETED":
        return run
    raise (RunCancelled if run.status == "CANCELLED" else RunFailed)(run)


class Wait(ABC):
    """`runs.wait` of the sync client."""

    @abstractmethod
    def get(self, pipeline_logging_id: str, *, tenant_id: str | None = None, timeout: float | None = None) -> run_pb2.Run:
        """One run."""

    @abstractmethod
    def watch(
        self, pipeline_logging_id: str, *, tenant_id: str | None = None, last_event_id: str | None = None, timeout: float | None = None
    ) -> Iterator[watch_service_pb2.RunEvent]:
        """Its events."""

    def wait(self, pipeline_logging_id: str, *, tenant_id: str | None = None, timeout: float | None = None) -> run_pb2.Run:
        """Waits until a run has ended, and returns it with its steps and verdicts.

        Raises RunFailed if it FAILED, RunCancelled if it was cancelled (both with `.run`), DeadlineExceeded after `timeout` seconds; the
        run itself goes on then. None: as long as the run may take.
        """
        for _ in self.watch(pipeline_logging_id, tenant_id=tenant_id, timeout=timeout):
            pass
        return completed(self.get(pipeline_logging_id, tenant_id=tenant_id))


class AsyncWait(ABC):
    """`runs.wait` of the async client."""

    @abstractmethod
    async def get(self, pipeline_logging_id: str, *, tenant_id: str | None = None, timeout: float | None = None) -> run_pb2.Run:
        """One run."""

    @abstractmethod
    def watch(
        self, pipeline_logging_id: str, *, tenant_id: str | None = None, last_event_id: str | None = None, timeout: float | None = None
    ) -> AsyncIterator[watch_service_pb2.RunEvent]:
        """Its events."""

    async def wait(self, pipeline_logging_id: str, *, tenant_id: str | None = None, timeout: float | None = None) -> run_pb2.Run:
        """As `Wait.wait`."""
        async for _ in self.watch(pipeline_logging_id, tenant_id=tenant_id, timeout=timeout):
            pass
        return completed(await self.get(pipeline_logging_id, tenant_id=tenant_id))
