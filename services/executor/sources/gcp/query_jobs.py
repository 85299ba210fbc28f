"""Waits for query jobs in a tenant's project."""

import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import Final

from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from services.executor.sources.gcp.prices import GcpMeter
from services.platform.tracing.bigquery import note_job

SECONDS: Final = 30.0
"""Timeout in seconds of each call to the tenant's project."""
RETRY: Final = DEFAULT_RETRY.with_timeout(SECONDS)
"""The client's own default would retry for ten minutes."""
LOOK_SECONDS: Final = 5.0
"""Seconds to wait for a query before the next check for cancellation."""


def wait_for(job: bigquery.QueryJob, check_cancelled: Callable[[], None], meter: GcpMeter) -> None:
    """Waits until the job is done, and counts it. If the wait ends early, also by what `check_cancelled` raises, the job is cancelled.
    Raises the job's error.
    """
    try:
        while not _is_done(job):
            check_cancelled()
    except BaseException:
        with contextlib.suppress(Exception):  # it costs nothing more than it has
            job.cancel(timeout=SECONDS, retry=None)
        raise
    note_job(job)
    meter.count(job)


def _is_done(job: bigquery.QueryJob) -> bool:
    """Waits for a job, at most LOOK_SECONDS. Raises the job's error."""
    try:
        job.result(timeout=LOOK_SECONDS, retry=RETRY, job_retry=None)
    except concurrent.futures.TimeoutError:
        return False
    return True
