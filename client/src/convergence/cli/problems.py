"""Errors as the program shows them: what is wrong, what to do, and the request id under which the logs have it. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
from convergence.cli.exits import ExitCode, exit_of_status
from convergence.cli.options import UsageProblem
from convergence.cli.output.cells import span
from convergence.cli.output.own_commands import in_commands
from convergence.client import errors

_STATUS: tuple[tuple[type[errors.ConvergenceError], grpc.StatusCode], ...] = (
    (errors.InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.ResourceExhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (errors.PermissionDenied, grpc.StatusCode.PERMISSION_DENIED),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
    (errors.DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.NotFound, grpc.StatusCode.NOT_FOUND),
    (errors.AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
    (errors.FailedPrecondition, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Unimplemented, grpc.StatusCode.UNIMPLEMENTED),
)
_ADVICE = {
    "API_KEY_MISSING": "Log in: convergence login",
    "API_KEY_INVALID": "Log in with a key that works: convergence login. An operator issues one: convergence keys create",
    "ADMIN_KEY_MISSING": "This is an operator's call. Log in with an admin key: convergence login --admin",
    "ADMIN_KEY_INVALID": "Log in with an admin key that works: convergence login --admin",
    "ADMIN_ROLE_DENIED": "Use an admin key of the other role (provisioner: tenants and keys; scheduler: jobs and fleet).",
    "TENANT_MISMATCH": "The key belongs to another tenant. `convergence profiles show` says which; --tenant and --profile choose others.",
    "SCOPE_MISSING": "An operator issues a key with more scopes: convergence keys create --scope ...",
    "TENANT_NOT_ACTIVE": "An operator can resume the tenant: convergence tenants resume TENANT",
    "TEMPLATE_NOT_FOUND": "See what there is: convergence templates list",
    "TEMPLATE_BROKEN": "Its author finds all faults with: convergence templates check FILE",
    "PATH_NOT_FOUND": "The address may not be a gateway's, or the gateway's version another one: convergence doctor",
    "API_KEY_NOT_FOUND": "See what there is: convergence keys list",
    "CREDENTIALS_NOT_FOUND": "See what there is: convergence credentials list",
    "TENANT_NOT_FOUND": "See what there is: convergence tenants list",
    "CREDENTIALS_MISSING": "Set them: convergence credentials set PROVIDER --file FILE",
    "RUN_NOT_FOUND": "See what there is: convergence run list",
    "SCHEDULE_NOT_FOUND": "See what there is: convergence schedules list",
    "SCHEDULED_RUN_NOT_FOUND": "See what there is: convergence queue list",
    "SERVICE_UNAVAILABLE": "Find out what is wrong: convergence doctor",
    "DAILY_LIMIT_REACHED": "See the limits: convergence quota",
    "MONTHLY_LIMIT_REACHED": "See the limits: convergence quota",
    "MONTHLY_COST_LIMIT_REACHED": "See the limits: convergence quota",
    "CONCURRENT_LIMIT_REACHED": "See what runs: convergence run list --status RUNNING",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """An error, ready to be shown."""

    message: str
    code: ExitCode
    reason: str = ""
    request_id: str = ""
    advice: str = ""
    retry_after: timedelta | None = None
    fields: tuple[tuple[str, str], ...] = ()
    """Fields of the request that were refused, and why."""

    def lines(self) -> list[str]:
        """Below the message, for people."""
        found = [f"{name}: {why}" for name, why in self.fields if why not in self.message]
        if self.advice:
            found.append(self.advice)
        if self.retry_after is not None:
            found.append(f"Try again in {span(self.retry_after.total_seconds())}.")
        about = ", ".join(text for text in (self.reason, f"request {self.request_id}" if self.request_id else "") if text)
        return [*found, *([f"({about})"] if about else [])]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "error": {
                "message": self.message,
                "reason": self.reason,
                "exit_code": int(self.code),
                "request_id": self.request_id,
                "what_to_do": self.advice,
                "retry_after_seconds": None if self.retry_after is None else self.retry_after.total_seconds(),
                "fields": [{"field": name, "description": why} for name, why in self.fields],
            }
        }


def problem_of(error: errors.ConvergenceError | UsageProblem) -> Problem:
    """How to show an error of the client, or of the command line."""
    if isinstance(error, UsageProblem):
        return Problem(message=str(error), code=ExitCode.USAGE)
    if isinstance(error, errors.ConfigurationError):
        message = in_commands(error.message)
        return Problem(message=message, code=_exit_of_configuration(error), advice="Log in: convergence login")
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL)
    message, advice = in_commands(error.message), _ADVICE.get(error.reason, "")
    if advice and f"`{advice.rpartition(': ')[2]}`" in message:
        advice = ""  # It is said already.
    if isinstance(error, errors.Unavailable) and not error.reason:
        advice = "Find out what is wrong: convergence doctor"
    return Problem(
        message=message,
        code=exit_of_status(status, error.reason),
        reason=error.reason,
        request_id=error.request_id,
        advice=advice,
        retry_after=error.retry_after,
        fields=tuple((one.field, in_commands(one.description)) for one in error.field_violations),
    )


def _exit_of_configuration(error: errors.ConvergenceError) -> ExitCode:
    """No key is a matter of rights; no URL, or a bad profile, of usage."""
    return ExitCode.DENIED if "key" in error.message and "needs" in error.message else ExitCode.USAGE
