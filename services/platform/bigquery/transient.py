"""The errors that are retried: one list for everything that calls BigQuery.

From BigQuery's "Error messages" (backendError, rateLimitExceeded, jobRateLimitExceeded: retry with backoff; jobBackendError and
jobInternalError: retry the job under a new id, though they are answered with status 400) and "Multi-statement transactions" (conflicting
transactions are cancelled: retry). The emulator reports the latter as "Failed to commit" or "Conflict on".
"""

import requests.exceptions
from google.api_core import exceptions as google
from google.auth import exceptions as auth

UNREACHABLE = (
    google.ServiceUnavailable,
    google.BadGateway,
    google.GatewayTimeout,
    google.InternalServerError,
    google.RetryError,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    auth.TransportError,
    ConnectionError,
    TimeoutError,
)
CONFLICTS = ("aborted due to concurrent update", "could not serialize access", "failed to commit", "transaction conflict", "conflict on")
RATE_LIMITS = ("ratelimitexceeded", "jobratelimitexceeded", "exceeded rate limits", "too many dml statements")
# Reported as BadRequest, and by ended jobs as: "The job encountered an internal error during execution", "Retrying the job may solve".
BROKEN_JOBS = ("jobbackenderror", "jobinternalerror", "job encountered an", "retrying the job may solve")


def is_transient(error: Exception) -> bool:
    """True for errors worth retrying: network, 5xx, rate limits, transaction conflicts."""
    if isinstance(error, auth.GoogleAuthError) and error.retryable:  # e.g. RefreshError: the metadata server does not answer just now
        return True
    return isinstance(error, UNREACHABLE) or is_rate_limit(error) or is_conflict(error) or _says(error, BROKEN_JOBS)


def is_conflict(error: Exception) -> bool:
    """True if BigQuery cancelled a transaction because another statement changes one of its tables: nothing of it has happened."""
    return _says(error, CONFLICTS)


def is_rate_limit(error: Exception) -> bool:
    """True if BigQuery refused the statement for its rate."""
    return isinstance(error, google.TooManyRequests) or _says(error, RATE_LIMITS)


def _says(error: Exception, words: tuple[str, ...]) -> bool:
    if not isinstance(error, google.GoogleAPICallError):
        return False
    text = f"{error.message} {error.errors}".lower()
    return any(word in text for word in words)
