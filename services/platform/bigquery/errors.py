"""BigQuery's errors under names of our own, whichever library raises them."""

from datetime import timedelta

import structlog
from google.api_core import exceptions as google

from services.platform.errors import Unavailable

_log = structlog.get_logger()

NotFound = google.NotFound
"""A dataset or table does not exist, or is in another location than the job."""
Forbidden = google.Forbidden
"""Missing rights; also a missing resource if the account may not know that ("or perhaps it does not exist")."""
BadRequest = google.BadRequest
"""BigQuery refuses the SQL or the rows."""


class RowsRefused(ValueError):
    """Streamed rows do not fit the table; none was appended."""


def unavailable(what: str, error: BaseException | None) -> Unavailable:
    """The error to raise for a statement, or another call, that did not succeed in time; `error` is only logged."""
    _log.warning("bigquery_unavailable", statement=what, error=type(error).__name__ if error else "paced")
    return Unavailable("BIGQUERY_UNAVAILABLE", "BigQuery does not answer. Try again in a moment.", retry_after=timedelta(seconds=5))
