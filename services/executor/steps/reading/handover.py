"""Lets BigQuery copy an export's rows if the source can do that. If it cannot, says why."""

import asyncio
from datetime import timedelta

import structlog
from google.api_core import exceptions as google

from services.executor.errors import StepError
from services.executor.sources.source import CheckCancelled, Export, HandedOver, HandsOver
from services.executor.staging.shape import StagingTable
from services.executor.steps.reading.loads import Staged
from services.executor.steps.reading.waiting import wait_for
from services.executor.templates.step import StepContext

_log = structlog.get_logger()


class Handover:
    """For one try of a step, in its worker thread. Here the thread waits for what the event loop has to do."""

    def __init__(self, context: StepContext, table: StagingTable) -> None:
        """On the event loop."""
        self._context, self._table, self._loop = context, table, asyncio.get_running_loop()

    def take(self, export: Export, check_cancelled: CheckCancelled) -> Staged | None:
        """The rows that are in the staging table now; None: it is empty, and the export must be read. Raises Unavailable, and what
        `check_cancelled` raises.
        """
        if not isinstance(export, HandsOver):
            return None
        try:
            handed = export.hand_over(self._table, lambda: wait_for(self._place(), self._loop, check_cancelled), check_cancelled)
        except StepError as error:
            self._refused(error.message)
            return None
        if handed is None:
            return None
        try:
            wait_for(self._copy(handed), self._loop, check_cancelled)
        except google.GoogleAPICallError as error:
            self._refused(f"The copy of {handed.table} was refused: {type(error).__name__}. May this account read it?")
            return None
        finally:
            handed.discard()
        _log.info("export_handed_over", tenant_id=self._context.run.tenant_id, rows=handed.rows)
        return Staged(rows=handed.rows)

    def _refused(self, reason: str) -> None:
        _log.warning("export_not_handed_over", tenant_id=self._context.run.tenant_id, reason=reason)

    async def _place(self) -> str:
        bq = self._context.tools.bq
        return await bq.locations.of(bq.tenant(self._context.run.tenant_id))

    async def _copy(self, handed: HandedOver) -> None:
        within, context = timedelta(seconds=self._context.timeout_seconds), self._context
        await context.tools.staging.copy(context.run.tenant_id, self._table, handed.table, within=within, account=context.meter)
