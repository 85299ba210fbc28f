"""What is worth trying again: one list, read by whoever talks to BigQuery.

From BigQuery's "Error messages" (backendError, rateLimitExceeded, jobRateLimitExceeded: retry with backoff; jobBackendError and
jobInternalError: retry the job under a new id, though they are answered with status 400) and "Multi-statement transactions" (conflicting
transactions are cancelled: retry). The emulator's word for the latter is "Failed to commit".
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
# As BadRequest, and in words that an ended job has: "The job encountered an internal error during execution", "Retrying the job may solve".
BROKEN_JOBS = ("jobbackenderror", "jobinternalerror", "job encountered an", "retrying the job may solve")


def is_transient(error: Exception) -> bool:
    """Whether the same statement may pass if it is sent again a little later."""
    if isinstance(error, auth.GoogleAuthError) and error.retryable:  # e.g. RefreshError: the metadata server does not answer just now
        return True
    return isinstance(error, UNREACHABLE) or is_rate_limit(error) or _says(error, CONFLICTS) or _says(error, BROKEN_JOBS)


def is_rate_limit(error: Exception) -> bool:
    """Whether BigQuery had too many statements of this kind just now."""
    return isinstance(error, google.TooManyRequests) or _says(error, RATE_LIMITS)


def _says(error: Exception, words: tuple[str, ...]) -> bool:
    if not isinstance(error, google.GoogleAPICallError):
        return False
    text = f"{error.message} {error.errors}".lower()
    return any(word in text for word in words)
