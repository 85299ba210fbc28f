"""Flow 2 up to its answer: from a request to a run that is on its way.

Budget, caches warm: one BigQuery job here (the run's row), none to look things up; the ledger's two are auth's and shared by a batch.
"""

import asyncio
import uuid
from collections.abc import Mapping
from datetime import timedelta

import structlog

from services.executor.credentials import SealedCredentials
from services.executor.engine import Job
from services.executor.ledger import NOT_STARTED, Ledger, Slot
from services.executor.live import LiveRuns
from services.executor.parameters import Value, resolve, to_json
from services.executor.pipelines import PipelineName
from services.executor.runs import Run
from services.executor.store import Store
from services.executor.templates import Catalog, Template
from services.platform import bigquery
from services.platform.clock import Clock
from services.platform.errors import ConvergenceError, FailedPrecondition, NotFound, Unavailable

_log = structlog.get_logger()


class Starter:
    """Starts runs."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        credentials: SealedCredentials,
        ledger: Ledger,
        store: Store,
        live: LiveRuns,
        clock: Clock,
        lease_seconds: float,
    ) -> None:
        self._catalog, self._credentials, self._ledger = catalog, credentials, ledger
        self._store, self._live, self._clock = store, live, clock
        self._beginning = set[asyncio.Task[Run]]()
        # A row that lands after the slot has expired belongs to a run that was reconciled as never begun.
        self._insert_seconds = min(10.0, lease_seconds / 2)

    async def start(self, tenant_id: str, user_id: str | None, name: PipelineName | None, given: Mapping[str, object]) -> Run:
        """Starts a run and answers its row. Raises NotFound, InvalidArgument, FailedPrecondition, ResourceExhausted or Unavailable as
        DESIGN's table says; then nothing was started, and nothing is counted for long.
        """
        self._live.refuse_if_stopping()
        template = self._catalog.templates.get(name) if name else None
        if template is None:
            raise NotFound("TEMPLATE_NOT_FOUND", "There is no such pipeline. GET /api/v1/pipelines/templates lists what can be run.")
        parameters = resolve(template.parameters, given)
        await self._credentials.require(tenant_id, template.name.provider.upper())
        # A caller that hangs up must not leave a run behind that nobody leads.
        begin = asyncio.create_task(self._begin(tenant_id, user_id, template, parameters))
        self._beginning.add(begin)
        begin.add_done_callback(self._beginning.discard)
        return await asyncio.shield(begin)

    async def _begin(self, tenant_id: str, user_id: str | None, template: Template, parameters: Mapping[str, Value]) -> Run:
        identity = str(uuid.uuid4())
        slot = await self._ledger.reserve(tenant_id, identity)
        now = self._clock.now()
        run = Run(
            pipeline_logging_id=identity,
            tenant_id=tenant_id,
            pipeline_id=template.name.pipeline_id(tenant_id),
            user_id=user_id,
            parameters=to_json(parameters),
            started_at=now,
            deadline_at=now + timedelta(seconds=template.timeout_seconds),
        )
        await self._insert(run, slot)
        self._live.start(Job(run=run, template=template, parameters=parameters), slot)
        return run

    async def _insert(self, run: Run, slot: Slot) -> None:
        """Writes the run's row, or gives the slot back.

        When nobody knows whether the row was written, the slot is left alone: nobody renews it, and once its lease has run out the
        reconciler, who then can read, settles it as what it is.
        """
        try:
            await self._store.insert_run(run, seconds=self._insert_seconds)
        except Unavailable:
            raise
        except bigquery.NotFound as error:
            await self._give_back(slot)
            told = "This tenant's dataset is gone. Set its credentials again: that makes it anew."
            raise FailedPrecondition("CREDENTIALS_MISSING", told) from error
        except Exception:
            await self._give_back(slot)
            raise

    async def _give_back(self, slot: Slot) -> None:
        try:
            await self._ledger.settle(slot, NOT_STARTED)
        except ConvergenceError as error:
            _log.warning("slot_left_to_expire", reason=error.reason)
