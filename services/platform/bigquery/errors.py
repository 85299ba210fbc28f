"""BigQuery's errors under names of our own, whichever library raises them."""

import re
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


class TransactionCancelled(Exception):
    """BigQuery has cancelled a transaction because another statement changes one of its tables: nothing of it has happened."""


def bytes_required(error: Exception) -> int | None:
    """The bytes that a query would have been billed, if BigQuery refused it because of its `maximum_bytes_billed`; 0 if it does not say how
    many. None for any other error.
    """
    if not isinstance(error, google.GoogleAPICallError):
        return None
    text = f"{error.message} {error.errors}"
    if "bytesBilledLimitExceeded" not in text and "exceeded limit for bytes billed" not in text:
        return None
    needed = re.search(r"(\d+) or higher required", text)
    return int(needed[1]) if needed else 0


def unavailable(what: str, error: BaseException | None) -> Unavailable:
    """The error to raise for a statement, or another call, that did not succeed in time; `error` is only logged."""
    _log.warning("bigquery_unavailable", statement=what, error=type(error).__name__ if error else "paced")
    return Unavailable("BIGQUERY_UNAVAILABLE", "BigQuery does not answer. Try again in a moment.", retry_after=timedelta(seconds=5))
