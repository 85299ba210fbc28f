"""All errors of the client: kinds, and below them a class for each reason.

    try:
        client.pipelines.run("gcp/cost/billing", {"date": "yesterday"})
    except errors.DailyLimitReached as error:
        print(error.retry_after)
    except errors.ConvergenceError as error:
        print(error.message, error.request_id)

`convergence.rpc.errors` has the tree.
"""

from convergence.api import reasons
from convergence.api.reasons import *  # noqa: F403 - whatever reasons there are
from convergence.rpc.errors import (
    AlreadyExists,
    ConfigurationError,
    ConvergenceError,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    RunCancelled,
    RunFailed,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)

__all__ = [
    "AlreadyExists",
    "ConfigurationError",
    "ConvergenceError",
    "DeadlineExceeded",
    "FailedPrecondition",
    "FieldViolation",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
    "RunCancelled",
    "RunFailed",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]
__all__ += reasons.__all__
