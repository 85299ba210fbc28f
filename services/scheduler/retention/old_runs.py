"""Deletes scheduled runs after their time."""

from datetime import timedelta
from pathlib import Path

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import load_blocks
from services.platform.clock import Clock
from services.platform.periodic import Periodic
from services.platform.settings import FOR_EVER

BLOCKS = load_blocks(Path(__file__).with_name("queries.sql"))
EVERY_SECONDS = 24 * 3600.0
LONGER_DAYS = 31
"""How much longer a scheduled run is kept than the records of its attempts. Once the run is deleted, its day may be backfilled again with
the same ids. Then the executor must not find an attempt with such an id that has ended.
"""


def retention(bq: BigQuery, clock: Clock, *, run_days: int) -> Periodic:
    """While its context is open: at once and once a day. In every scheduler: whichever comes first deletes, the others find nothing.
    Nothing is deleted if runs are kept for ever.
    """

    async def delete() -> None:
        if run_days != FOR_EVER:
            before = clock.now() - timedelta(days=run_days + LONGER_DAYS)
            await bq.query(BLOCKS["delete_old_scheduled_runs"], {"before": before}, dataset=bq.control())

    return Periodic("old_runs", (delete, EVERY_SECONDS))
