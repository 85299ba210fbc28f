"""Decides what happens to a claimed run after its attempt. Pure: time and randomness are passed in."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.platform.errors import (
    AlreadyExists,
    ConvergenceError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from services.scheduler.queue.claims import Claim

FINAL = (NotFound, InvalidArgument, FailedPrecondition)
"""Errors of StartRun that another attempt would get, too."""
REFUSED = (AlreadyExists, ResourceExhausted, PermissionDenied)
"""Errors of StartRun that do not count as a failure of the run: it goes back to the queue."""
MIN_WAIT = timedelta(seconds=5)
REFUSED_WAIT = timedelta(seconds=60)
"""The wait after a refusal without RetryInfo."""
ERROR_LENGTH = 2000
CANCELLED = "The run was cancelled."
SCHEDULE_GONE = "The schedule of this run was deleted, so it is no longer known what to run."


class ClaimOutcome(StrEnum):
    """How a claim ends."""

    COMPLETED = "COMPLETED"
    RETRY = "RETRY"
    """FAILED, and queued again."""
    FAILED = "FAILED"
    """FAILED, finally."""


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """The end of an attempt, to be written by the holder of the claim."""

    claim: Claim
    outcome: ClaimOutcome
    pipeline_logging_id: str | None
    """None: the attempt never began and has no record."""
    error_message: str | None = None
    not_before: datetime | None = None
    """When a retry may be claimed; before that it waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A refused start; the same attempt may be tried again."""

    claim: Claim
    not_before: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownStart:
    """StartRun failed, and it is unknown whether the attempt began: only the attempt's record shows it."""

    message: str
    """Why the attempt failed, if it has no record."""
    is_final: bool = False
    """Whether another attempt would fail, too."""
    not_before: datetime | None = None
    """If set and there is no record: no failure is counted, and the same attempt may be started again from this time on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptState:
    """What the executor knows of an attempt."""

    status: str
    """RUNNING, COMPLETED, FAILED or CANCELLED; empty: it has no record; UNKNOWN: its record cannot be read now."""
    error_message: str = ""
    is_final: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How long failed and refused runs wait."""

    base: timedelta
    cap: timedelta

    def wait(self, failures: int, chance: float) -> timedelta:
        """The wait before the next attempt after the `failures`-th failure (from 1): exponential backoff from `base` to at most `cap`.
        `chance` (0 to 1) spreads the wait over its upper half (jitter), so that runs that failed together are not retried together.
        """
        ceiling = min(self.cap, self.base * 2.0 ** min(failures - 1, 30))
        return ceiling * (0.5 + chance / 2)


def completed(claim: Claim) -> End:
    """Flow 3B step 5: the run completed."""
    return End(claim=claim, outcome=ClaimOutcome.COMPLETED, pipeline_logging_id=claim.pipeline_logging_id)


def failed(  # noqa: PLR0913 - a decision: whatever it depends on is passed in
    claim: Claim, message: str, policy: RetryPolicy, *, now: datetime, chance: float, is_final: bool = False, began: bool = True
) -> End:
    """Flow 3B step 6: one more failure. The run is queued again while failures are below `max_retries` and another attempt may succeed.

    Failures are counted by the attempt's number: an interrupted settlement may have counted this one in `retry_count` already.
    """
    failures = claim.attempt
    again = not is_final and failures < claim.max_retries
    return End(
        claim=claim,
        outcome=ClaimOutcome.RETRY if again else ClaimOutcome.FAILED,
        pipeline_logging_id=claim.pipeline_logging_id if began else None,
        error_message=message[:ERROR_LENGTH],
        not_before=now + policy.wait(failures, chance) if again else None,
    )


def on_start_refused(claim: Claim, error: ConvergenceError, policy: RetryPolicy, now: datetime) -> End | Refusal | UnknownStart:
    """What an error of StartRun means. Only an answer of the executor proves that nothing began. Unavailable proves nothing: the connection
    may have broken after the executor had begun the run, or the executor's own statement may have succeeded without an answer. So the claim
    is kept until the attempt's record has been looked up. A run without a claim ends if its schedule is deleted, and then no attempt of it
    may be active.
    """
    if isinstance(error, FINAL):
        return failed(claim, error.message, policy, now=now, chance=0.0, is_final=True)
    not_before = now + min(max(error.retry_after or REFUSED_WAIT, MIN_WAIT), max(policy.cap, MIN_WAIT))
    if isinstance(error, REFUSED):
        return Refusal(claim=claim, not_before=not_before)
    return UnknownStart(message=error.message, not_before=not_before if isinstance(error, Unavailable) else None)


def on_state(
    claim: Claim, state: AttemptState, unknown_start: UnknownStart | None, policy: RetryPolicy, *, now: datetime, chance: float
) -> End | Refusal | None:
    """What the state of a claim's attempt means. `None` as the result: it is running, or is to be started."""
    match state.status:
        case "COMPLETED":
            return completed(claim)
        case "FAILED":
            message = state.error_message or "The run failed."
            return failed(claim, message, policy, now=now, chance=chance, is_final=state.is_final)
        case "CANCELLED":
            return failed(claim, state.error_message or CANCELLED, policy, now=now, chance=0.0, is_final=True)
        case "" if unknown_start is not None and unknown_start.not_before is not None:
            return Refusal(claim=claim, not_before=unknown_start.not_before)
        case "" if unknown_start is not None:
            final = unknown_start.is_final
            return failed(claim, unknown_start.message, policy, now=now, chance=chance, is_final=final, began=False)
        case _:
            return None
