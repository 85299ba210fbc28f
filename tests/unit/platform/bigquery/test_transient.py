"""Which errors are retried."""

from typing import Any

import pytest
from google.api_core import exceptions as google
from google.auth import exceptions as auth

from services.platform.bigquery.transient import is_rate_limit, is_transient


def refused(kind: type[google.GoogleAPICallError], message: str, reason: str = "") -> google.GoogleAPICallError:
    return kind(message, errors=[{"reason": reason}] if reason else ())


AUTH: Any = auth  # untyped upstream
AGAIN: dict[str, Exception] = {
    "jobs that break": refused(google.BadRequest, "The job encountered an internal error during execution and was unable to complete"),
    "they say so": refused(google.BadRequest, "The job encountered an error during execution. Retrying the job may solve the problem."),
    "by reason": refused(google.BadRequest, "", "jobBackendError"),
    "inside": refused(google.BadRequest, "", "jobInternalError"),
    "backend": refused(google.ServiceUnavailable, "", "backendError"),
    "conflict": refused(google.BadRequest, "Transaction is aborted due to concurrent update against table d.t.", "invalidQuery"),
    "rate": refused(google.Forbidden, "Exceeded rate limits: too many table update operations", "rateLimitExceeded"),
    "metadata server": AUTH.RefreshError("503", retryable=True),
    "no network": AUTH.TransportError("refused"),
    "deadline": TimeoutError(),
}
NEVER: dict[str, Exception] = {
    "bad SQL": refused(google.BadRequest, "Unrecognized name: job at [1:8]", "invalidQuery"),
    "too large": refused(google.BadRequest, "Resources exceeded during query execution", "resourcesExceeded"),
    "rights": refused(google.Forbidden, "Access Denied", "accessDenied"),
    "quota": refused(google.Forbidden, "Quota exceeded: Your project exceeded quota", "quotaExceeded"),
    "missing": refused(google.NotFound, "Not found: Table p:d.t", "notFound"),
    "key revoked": AUTH.RefreshError("invalid_grant"),
    "bug": ValueError("backendError"),
}


@pytest.mark.parametrize("name", AGAIN)
def test_worth_trying_again(name: str) -> None:
    assert is_transient(AGAIN[name])


@pytest.mark.parametrize("name", NEVER)
def test_no_use(name: str) -> None:
    assert not is_transient(NEVER[name])


def test_only_rate_limits_slow_a_table_down() -> None:
    assert [name for name, error in {**AGAIN, **NEVER}.items() if is_rate_limit(error)] == ["rate"]
