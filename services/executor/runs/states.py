"""The states of runs of many tenants at once, for the scheduler."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from services.executor.records import RunEnd, RunStatus
from services.executor.runs.quota import QuotaClient
from services.executor.runs.reconcile import OVERDUE, Reconciler
from services.executor.runs.start import RunStarter
from services.executor.store import Store
from services.platform.errors import Unavailable

MAX_CONCURRENT_TENANTS = 8
UNKNOWN = "UNKNOWN"
"""The tenant's dataset cannot be read now."""

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunKey:
    """Identifies a run."""

    tenant_id: str
    pipeline_logging_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedState:
    """The state of a run."""

    status: str
    """A RunStatus; empty: it never began; UNKNOWN."""
    error_message: str = ""
    """Why it FAILED, worded for the tenant."""
    is_final: bool = False
    """It FAILED and another attempt would fail, too."""


class RunStates:
    """A run with a reservation is RUNNING: this process knows its own active runs; one query to auth covers all others, of all tenants. How
    the rest ended, or that it never began, takes one statement a tenant.
    """

    def __init__(self, *, starter: RunStarter, quota: QuotaClient, store: Store, reconciler: Reconciler) -> None:
        self._starter, self._quota, self._store, self._reconciler = starter, quota, store, reconciler

    async def of(self, keys: Sequence[RunKey]) -> list[ReportedState]:
        """The states of these runs, in the same order. If a tenant's dataset cannot be read, its runs are UNKNOWN, and the other tenants'
        states are returned all the same. Runs past their deadline are ended first. Raises Unavailable if auth does not answer.
        """
        running = {key.pipeline_logging_id for key in keys if self._starter.is_here(key.pipeline_logging_id)}
        if elsewhere := [key.pipeline_logging_id for key in keys if key.pipeline_logging_id not in running]:
            running |= await self._quota.held(elsewhere)
        to_read = defaultdict[str, list[str]](list)
        for key in keys:
            if key.pipeline_logging_id not in running:
                to_read[key.tenant_id].append(key.pipeline_logging_id)
        room = asyncio.Semaphore(MAX_CONCURRENT_TENANTS)

        async def read(tenant_id: str, runs: list[str]) -> dict[str, RunEnd] | None:
            async with room:
                try:
                    return await self._read(tenant_id, runs)
                except Unavailable:
                    _log.warning("runs_unreadable", tenant_id=tenant_id, runs=len(runs))
                    return None

        tenants = await asyncio.gather(*(read(tenant_id, runs) for tenant_id, runs in to_read.items()))
        ends = dict(zip(to_read, tenants, strict=True))

        def state(key: RunKey) -> ReportedState:
            if key.pipeline_logging_id in running:
                return ReportedState(status=RunStatus.RUNNING)
            of_tenant = ends[key.tenant_id]
            return ReportedState(status=UNKNOWN) if of_tenant is None else _reported(of_tenant.get(key.pipeline_logging_id))

        return [state(key) for key in keys]

    async def _read(self, tenant_id: str, runs: list[str]) -> dict[str, RunEnd]:
        ends = await self._store.run_ends(tenant_id, runs, self._reconciler.overdue_since)
        overdue = [run for run, end in ends.items() if end.is_overdue]
        for run, status in (await self._reconciler.fail_overdue(tenant_id, overdue)).items():
            if status is RunStatus.FAILED:
                ends[run] = RunEnd(status=status, error_message=OVERDUE, is_final=False, is_overdue=False)
        return ends


def _reported(end: RunEnd | None) -> ReportedState:
    if end is None:
        return ReportedState(status="")
    why = (end.error_message or "") if end.status is RunStatus.FAILED else ""
    return ReportedState(status=end.status, error_message=why, is_final=end.is_final)
