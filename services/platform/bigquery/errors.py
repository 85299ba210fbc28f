"""What BigQuery's refusals are called here, whichever library raises them."""

from datetime import timedelta

import structlog
from google.api_core import exceptions as google

from services.platform.errors import Unavailable

_log = structlog.get_logger()

NotFound = google.NotFound
"""Raised where a dataset or a table does not exist; also for one that is in another location than the job."""
Forbidden = google.Forbidden
"""Raised for missing rights; also for what does not exist, where the account may not know that ("or perhaps it does not exist")."""
BadRequest = google.BadRequest
"""Raised for SQL, or rows, that BigQuery refuses."""


class RowsRefused(ValueError):
    """Streamed rows do not fit their table; none was appended."""


def unavailable(what: str, error: BaseException | None) -> Unavailable:
    """What a caller hears of a statement, or another call, that did not get through; `error` is only logged."""
    _log.warning("bigquery_unavailable", statement=what, error=type(error).__name__ if error else "paced")
    return Unavailable("BIGQUERY_UNAVAILABLE", "BigQuery does not answer. Try again in a moment.", retry_after=timedelta(seconds=5))
