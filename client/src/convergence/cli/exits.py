"""What the program ends with. Scripts decide on these numbers, so they never change their meaning; docs/cli.md lists them. Pure."""

from enum import IntEnum

import grpc


class ExitCode(IntEnum):
    """The status of the process."""

    OK = 0
    """It was done."""
    FAILED = 1
    """The call was answered, and the answer is bad: a run FAILED, a doctor found a problem, a check of credentials did not pass."""
    USAGE = 2
    """The command line or the request is wrong: nothing was changed."""
    REFUSED = 3
    """A quota or another limit refuses it."""
    DENIED = 4
    """The key is missing, wrong, or may not do this; or the tenant is not active."""
    UNAVAILABLE = 5
    """No answer, or one of the services cannot answer at the moment: try again."""
    NOT_POSSIBLE = 6
    """What is named does not exist, or its state does not allow it."""
    BROKEN = 7
    """A bug or a broken installation: its operator has to look, with the request id."""
    NOT_WRITTEN = 74
    """The answer cannot be written, e.g. the disk is full; what was asked for may be done. As EX_IOERR of sysexits.h."""
    INTERRUPTED = 130
    """Ctrl-C."""
    READER_GONE = 141
    """The reader of the pipe has closed it, as `head` does. As a shell says of a program that SIGPIPE has ended: 128 + 13."""


_OF_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
    grpc.StatusCode.OUT_OF_RANGE: ExitCode.USAGE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ExitCode.REFUSED,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.DENIED,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.DENIED,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: ExitCode.UNAVAILABLE,
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_POSSIBLE,
    grpc.StatusCode.ALREADY_EXISTS: ExitCode.NOT_POSSIBLE,
    grpc.StatusCode.FAILED_PRECONDITION: ExitCode.NOT_POSSIBLE,
    grpc.StatusCode.ABORTED: ExitCode.NOT_POSSIBLE,
}
_LIMITS = frozenset({"SCHEDULE_LIMIT_REACHED", "COSTS_TOO_LARGE"})
"""Reasons that are limits, although waiting does not help, so that their status is another one."""
_OF_HTTP = {
    400: ExitCode.USAGE,
    401: ExitCode.DENIED,
    403: ExitCode.DENIED,
    404: ExitCode.NOT_POSSIBLE,
    405: ExitCode.USAGE,
    408: ExitCode.UNAVAILABLE,
    409: ExitCode.NOT_POSSIBLE,
    413: ExitCode.USAGE,
    415: ExitCode.USAGE,
    429: ExitCode.REFUSED,
    431: ExitCode.USAGE,
    502: ExitCode.UNAVAILABLE,
    503: ExitCode.UNAVAILABLE,
    504: ExitCode.UNAVAILABLE,
}


def exit_of_status(status: grpc.StatusCode, reason: str = "") -> ExitCode:
    """For a call that ended with this status. `reason`: of its ErrorInfo; empty: unknown."""
    if reason in _LIMITS:
        return ExitCode.REFUSED
    return _OF_STATUS.get(status, ExitCode.BROKEN)


def exit_of_http(status: int) -> ExitCode:
    """For a REST call that was answered with this HTTP status."""
    return ExitCode.OK if status < 400 else _OF_HTTP.get(status, ExitCode.BROKEN)  # noqa: PLR2004 - HTTP's own line
