"""Reads `platform_events`. The only caller of queries.sql."""

from datetime import datetime
from pathlib import Path

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks
from services.scheduler.fleet.state import BUDGETS_SHOWN, JOBS_KNOWN, LOSSES_COUNTED, EventSummary

SQL = load_blocks(Path(__file__).with_name("queries.sql"))


class FleetStore:
    """Raises Unavailable if BigQuery does not answer."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq

    async def events(self, now: datetime) -> list[EventSummary]:
        """What `FleetState.of` judges."""
        params = {"jobs_since": now - JOBS_KNOWN, "losses_since": now - LOSSES_COUNTED, "budgets_since": now - BUDGETS_SHOWN}
        rows = (await self._bq.query(SQL["fleet_events"], params, dataset=self._bq.control())).rows
        return [EventSummary.from_row(row) for row in rows]
