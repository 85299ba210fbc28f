"""The tree of errors by kind. Each reason has a class below its kind, in `convergence.api.reasons`.

    ConvergenceError
    ├── ConfigurationError   before anything is sent: no URL, no key, a bad profile
    ├── Unauthenticated      the key or token is missing or not valid         401
    ├── PermissionDenied     it is valid, but may not do this                 403
    ├── NotFound             no such resource                                 404
    ├── InvalidArgument      a bad field; `field_violations` names it         400
    ├── AlreadyExists        it exists already                                409
    ├── FailedPrecondition   another step is needed first                     400
    ├── ResourceExhausted    a limit; `retry_after` says when to retry        429
    ├── Unavailable          no answer, or a dependency is down               503
    ├── DeadlineExceeded     time was up; the call may have taken effect      504
    ├── Internal             a bug, or broken data                            500
    ├── Unimplemented        this installation is older than the client       501
    └── RunFailed            `wait()`: the run ended otherwise than COMPLETED

All are raised by the client; the kinds are those of the gRPC status.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from convergence.executor.v1 import run_pb2


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldViolation:
    """A field that was refused, and what it takes."""

    field: str
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Details:
    """What came with a refusal besides its message. `reason` is a name of ErrorReason without its prefix; empty: the server gave none."""

    reason: str = ""
    metadata: Mapping[str, str] | None = None
    field_violations: tuple[FieldViolation, ...] = ()
    retry_after: timedelta | None = None
    request_id: str = ""


class ConvergenceError(Exception):
    """A call failed. Programs decide on the class or on `reason`, never on the message; neither ever holds a secret."""

    by_reason: ClassVar[dict[str, type["ConvergenceError"]]] = {}
    """The class of each reason that this version of the client knows."""

    def __init_subclass__(cls, *, reason: str = "", **kwargs: object) -> None:
        """`reason`: the one that this class stands for."""
        super().__init_subclass__(**kwargs)
        if reason:
            ConvergenceError.by_reason[reason] = cls

    def __init__(self, message: str, details: Details | None = None) -> None:
        """`message` is a sentence for people."""
        super().__init__(message)
        details = details or Details()
        self.message = message
        self.reason = details.reason
        """Stable, e.g. `DAILY_LIMIT_REACHED`; empty: the server gave none."""
        self.metadata = dict(details.metadata or {})
        """Facts for programs, e.g. `pipeline_logging_id` of RUN_OVERLAPS."""
        self.field_violations = details.field_violations
        self.retry_after = details.retry_after
        """When it is worth trying again; None: waiting does not help, or the server did not say."""
        self.request_id = details.request_id
        """Under which the call is in the services' logs."""

    def __str__(self) -> str:
        parts = [self.message]
        parts += [f"reason {self.reason}"] if self.reason else []
        parts += [f"request {self.request_id}"] if self.request_id else []
        return parts[0] if len(parts) == 1 else f"{parts[0]} ({', '.join(parts[1:])})"


class ConfigurationError(ConvergenceError):
    """Nothing was sent: the client lacks an address or a credential, or was given one that cannot be right."""


class Unauthenticated(ConvergenceError):
    """The key or token is missing or not valid."""


class PermissionDenied(ConvergenceError):
    """The caller is known, but may not do this."""


class NotFound(ConvergenceError):
    """No such resource."""


class InvalidArgument(ConvergenceError):
    """A field is missing or bad; `field_violations` names it."""


class AlreadyExists(ConvergenceError):
    """It exists already; `metadata` names it."""


class FailedPrecondition(ConvergenceError):
    """Another step is needed first; the message says which."""


class ResourceExhausted(ConvergenceError):
    """A limit is reached. `retry_after` says when to try again; None: waiting does not help."""


class Unavailable(ConvergenceError):
    """No answer, or a dependency is down. Nothing is half-written."""


class DeadlineExceeded(ConvergenceError):
    """The time was up before an answer came. The call may have taken effect."""


class Internal(ConvergenceError):
    """A bug or broken data, on the server's side."""


class Unimplemented(ConvergenceError):
    """This installation does not know the call: it is older than the client."""


class RunFailed(ConvergenceError):
    """A run that was waited for has FAILED, or was cancelled (RunCancelled)."""

    def __init__(self, run: run_pb2.Run) -> None:
        """`run` as it ended, with its steps and verdicts."""
        why = f": {run.error_message}" if run.error_message else "."
        super().__init__(f"Run {run.pipeline_logging_id} of {run.pipeline_id} is {run.status}{why}")
        self.run = run

    def __reduce__(self) -> tuple[type["RunFailed"], tuple[run_pb2.Run]]:
        """For pickle, which would call the class with the message."""
        return type(self), (self.run,)


class RunCancelled(RunFailed):
    """A run that was waited for was cancelled."""
