"""What becomes of a claimed run: pure decisions over how its attempt went. Time and chance are passed in."""

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
"""Refusals to start that another attempt cannot heal."""
NOT_COUNTED = (AlreadyExists, ResourceExhausted, Unavailable, PermissionDenied)
"""Refusals to start that are not the run's fault: it waits, and loses nothing."""
MIN_WAIT = timedelta(seconds=5)
REFUSED_WAIT = timedelta(seconds=60)
"""After a refusal that does not say when to try again."""
ERROR_LENGTH = 2000
SCHEDULE_GONE = "The schedule of this run was deleted, so nobody knows any more what to run."


class ClaimOutcome(StrEnum):
    """How a claim ends."""

    COMPLETED = "COMPLETED"
    RETRY = "RETRY"
    """FAILED, and back in the queue."""
    FAILED = "FAILED"
    """For good."""


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How an attempt ended, to be written down by whoever still holds the claim."""

    claim: Claim
    outcome: ClaimOutcome
    pipeline_logging_id: str | None
    """None: the attempt never began, and left no record."""
    error_message: str | None = None
    not_before: datetime | None = None
    """When a retry may be claimed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A start that was refused and may be tried again, as the same attempt."""

    claim: Claim
    not_before: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How long failed and refused runs wait."""

    base: timedelta
    cap: timedelta

    def wait(self, failures: int, chance: float) -> timedelta:
        """Before the next attempt, after the `failures`-th failure (from 1): `base`, doubled each time, at most `cap`; `chance` (0 to 1)
        spreads it over its upper half, so that what failed together does not come back together.
        """
        ceiling = min(self.cap, self.base * 2.0 ** min(failures - 1, 30))
        return ceiling * (0.5 + chance / 2)


def completed(claim: Claim) -> End:
    """Step 5."""
    return End(claim=claim, outcome=ClaimOutcome.COMPLETED, pipeline_logging_id=claim.pipeline_logging_id)


def failed(  # noqa: PLR0913 - a decision: whatever it depends on is passed in
    claim: Claim, message: str, policy: RetryPolicy, *, now: datetime, chance: float, is_final: bool = False, began: bool = True
) -> End:
    """Step 6: one failure more; back to the queue while that is below `max_retries` and another attempt may help.

    Failures are counted by the number of the attempt: `retry_count` may have counted this one already, if its settlement broke off.
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


def on_start_refused(claim: Claim, error: ConvergenceError, policy: RetryPolicy, now: datetime) -> End | Refusal | None:
    """What a refused start means; None: nobody knows, so the run's own record has to be asked."""
    if isinstance(error, FINAL):
        return failed(claim, error.message, policy, now=now, chance=0.0, is_final=True)
    if isinstance(error, NOT_COUNTED):
        wait = min(max(error.retry_after or REFUSED_WAIT, MIN_WAIT), max(policy.cap, MIN_WAIT))
        return Refusal(claim=claim, not_before=now + wait)
    return None
