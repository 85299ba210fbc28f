"""Ends runs that nobody leads any more: their executor was killed, or has lost touch. Safe to run anywhere, any number of times."""

from collections import defaultdict
from dataclasses import dataclass

import structlog

from services.executor.ledger import NOT_STARTED, Ledger, Slot
from services.executor.runs import RunStatus
from services.executor.store import Store
from services.platform.clock import Clock
from services.platform.errors import ConvergenceError

LOST = "The executor that led this run was lost; run it again."

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What to do about a slot that nobody renews."""

    fail_run: bool
    """End its run as FAILED first; by compare-and-set, for its executor may be ending it at this moment."""
    outcome: str
    """What to settle it with, unless the run turns out to have ended otherwise."""


def judge(state: RunStatus | None) -> Verdict:
    """From how the run's row stands; None: there is none, so the run never began."""
    if state is None:
        return Verdict(fail_run=False, outcome=NOT_STARTED)
    if state is RunStatus.RUNNING:
        return Verdict(fail_run=True, outcome=RunStatus.FAILED)
    return Verdict(fail_run=False, outcome=state)


class Reconciler:
    """Holds the ledger's expired slots against the runs' own rows."""

    def __init__(self, store: Store, ledger: Ledger, clock: Clock) -> None:
        self._store, self._ledger, self._clock = store, ledger, clock

    async def sweep(self) -> list[Slot]:
        """Ends and settles what nobody leads; answers those slots. One tenant's trouble does not keep another's runs from being ended.

        Raises Unavailable if auth does not answer.
        """
        by_tenant = defaultdict[str, list[Slot]](list)
        for slot in await self._ledger.expired():
            by_tenant[slot.tenant_id].append(slot)
        settled = list[Slot]()
        for tenant_id, slots in by_tenant.items():
            try:
                states = await self._store.run_states(tenant_id, [slot.pipeline_logging_id for slot in slots])
                for slot in slots:
                    await self._end(slot, judge(states.get(slot.pipeline_logging_id)))
                    settled.append(slot)
            except ConvergenceError as error:
                _log.warning("reconcile_delayed", tenant_id=tenant_id, reason=error.reason)
        return settled

    async def _end(self, slot: Slot, verdict: Verdict) -> None:
        outcome = verdict.outcome
        if verdict.fail_run:
            stands = await self._store.finish_run(
                slot.tenant_id, slot.pipeline_logging_id, RunStatus.FAILED, at=self._clock.now(), error_message=LOST
            )
            outcome = stands or outcome
        await self._ledger.settle(slot, outcome)
        _log.info("run_reconciled", tenant_id=slot.tenant_id, pipeline_logging_id=slot.pipeline_logging_id, outcome=outcome)
