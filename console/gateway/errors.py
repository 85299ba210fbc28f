"""Why a call did not work, and what the person in front of the page can do about it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import httpx

UNREACHABLE = "GATEWAY_UNREACHABLE"
"""Our own reason: the gateway did not answer at all."""

WHAT_TO_DO: Mapping[str, str] = {
    UNREACHABLE: "Nothing is lost. This page tries again by itself.",
    "ACCESS_LACKING": "Grant what the message names in your cloud's console, then check the credentials again under Set-up.",
    "ACCESS_OPEN": "Close the access that the message names in your cloud, then check the credentials again under Set-up.",
    "ADMIN_ROLE_DENIED": "Sign in with an admin key whose role allows this.",
    "BAD_FIELD": "Correct the field and send the form again. Nothing was changed.",
    "BIGQUERY_UNAVAILABLE": "BigQuery did not answer. Nothing is half-written; try again in a moment.",
    "CHECK_RUNNING": "A check of these credentials is under way. Look again in a few seconds.",
    "CONCURRENT_LIMIT_REACHED": "Wait until a run has ended, or ask your operator for a larger plan.",
    "CREDENTIALS_MISSING": "Store the credentials of this cloud first: Set-up shows how.",
    "CREDENTIALS_NOT_FOUND": "Store the credentials of this provider first: Set-up shows how.",
    "CREDENTIALS_REFUSED": "The cloud does not let us in with these credentials. Set-up shows what is wrong.",
    "DAILY_LIMIT_REACHED": "The runs of today are used up. The count restarts at midnight UTC; Set-up shows the quota.",
    "GATEWAY_OVERLOADED": "Try again in a few seconds.",
    "IDEMPOTENCY_KEY_REUSED": "Open the form anew and send it once more.",
    "INTERNAL": "This is a fault on our side. Tell your operator the request id: the log has the cause under it.",
    "MONTHLY_COST_LIMIT_REACHED": "This month's budget for runs is used up. Ask your operator for a larger one.",
    "MONTHLY_LIMIT_REACHED": "The runs of this month are used up. Ask your operator for a larger plan.",
    "QUEUE_LIMIT_REACHED": "Wait until some queued runs have been taken.",
    "RATE_LIMITED": "Wait a moment, then try again.",
    "RUN_HAS_ENDED": "The run is over; nothing is left to cancel.",
    "RUN_NOT_FOUND": "Check the address, or look for the run in the list. Runs of another tenant are not shown.",
    "RUN_NOT_RETRYABLE": "Only a scheduled run that has failed for good can be queued again.",
    "RUN_OVERLAPS": "Wait for the other run, or cancel it.",
    "SCHEDULE_LIMIT_REACHED": "Delete a schedule first, or ask for a larger plan.",
    "SCOPE_MISSING": "Your API key may not do this. Sign in with a key that has this scope, or ask your operator for one.",
    "SERVICE_TIMEOUT": "It may have taken effect all the same: look before you send it again.",
    "SESSION_TOKENS_OFF": "The console needs session tokens, which are off here. The operator sets CONVERGENCE_TOKEN_SECRETS.",
    "SUBSCRIPTION_NOT_ACTIVE": "The subscription is not active. Your operator can tell you why.",
    "TEMPLATE_BROKEN": "The template's author has to mend it; choose another one meanwhile.",
    "TENANT_NOT_ACTIVE": "The tenant is suspended. Your operator can tell you why.",
}
"""By reason. For a reason that is missing here the message says enough."""


class GatewayError(Exception):
    """The gateway refused a call, or did not answer it. `str()` is its message, which never quotes a credential."""

    def __init__(
        self,
        *,
        status: int,
        reason: str,
        message: str,
        request_id: str = "",
        retry_after: int | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """`status` as HTTP has it, `retry_after` in seconds."""
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.request_id, self.retry_after, self.metadata = request_id, retry_after, dict(metadata or {})

    @property
    def what_to_do(self) -> str:
        """A sentence for the reader."""
        if self.reason in WHAT_TO_DO:
            return WHAT_TO_DO[self.reason]
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return "Try again in a moment. If it goes on, tell your operator the request id."
        return "The message says what to change. Nothing was changed."

    @property
    def is_passing(self) -> bool:
        """True if the same call may work in a moment, so that the page may ask again by itself."""
        return self.status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}

    @property
    def is_signed_out(self) -> bool:
        """True if the session's credential is good no more."""
        return self.status == HTTPStatus.UNAUTHORIZED


def unreachable(error: Exception) -> GatewayError:
    """For a connection that failed, and for an answer that did not come in time."""
    message = "The API does not answer in time." if isinstance(error, httpx.TimeoutException) else "The API does not answer."
    return GatewayError(status=HTTPStatus.SERVICE_UNAVAILABLE, reason=UNREACHABLE, message=message)


def error_of(status: int, body: Any, headers: Mapping[str, str]) -> GatewayError:
    """The error in an answer: `{"code", "message", "details"}`, as google.rpc.Status, or whatever a proxy in between has sent."""
    body = body if isinstance(body, dict) else {}
    details = [one for one in body.get("details", ()) if isinstance(one, dict)]
    info = next((one for one in details if "reason" in one), {})
    named = next((str(one["request_id"]) for one in details if one.get("request_id")), "")
    seconds = headers.get("retry-after", "")
    return GatewayError(
        status=status,
        reason=str(info.get("reason") or HTTPStatus(status).phrase.upper().replace(" ", "_")),
        message=str(body.get("message") or f"The API answered {status} without saying why."),
        request_id=named or headers.get("x-request-id", ""),
        retry_after=int(seconds) if seconds.isdecimal() else None,
        metadata=info.get("metadata"),
    )
