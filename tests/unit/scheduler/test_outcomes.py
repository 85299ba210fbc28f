"""What a failure means: step 6 of flow 3B."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler.queue.claims import Claim, Pipeline
from services.scheduler.queue.outcomes import ClaimOutcome, RetryPolicy, failed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = RetryPolicy(base=timedelta(minutes=1), cap=timedelta(hours=1))


def claim(retry_count: int, max_retries: int) -> Claim:
    return Claim(
        run_id="r",
        config_id="c",
        tenant_id="t",
        pipeline_id="gcp-cost-billing",
        claimed_by="a",
        attempt=retry_count + 1,
        scheduled_time=NOW,
        retry_count=retry_count,
        max_retries=max_retries,
        parameters={},
        pipeline=Pipeline(provider="gcp", domain="cost", template="billing"),
    )


@pytest.mark.parametrize(("max_retries", "attempts"), [(0, 1), (1, 1), (2, 2), (3, 3), (10, 10)])
def test_max_retries_counts_attempts(max_retries: int, attempts: int) -> None:
    """The first one included: 0 and 1 both mean one attempt."""
    ends = list[ClaimOutcome]()
    while not ends or ends[-1] is ClaimOutcome.RETRY:
        ends.append(failed(claim(len(ends), max_retries), "No rows.", POLICY, now=NOW, chance=0.5).outcome)
    assert ends == [ClaimOutcome.RETRY] * (attempts - 1) + [ClaimOutcome.FAILED]


def test_a_slot_is_seen_from_utc() -> None:
    """04:00 on the 26th in Auckland is the 25th in UTC, whatever zone the schedule lives in."""
    slot = datetime.fromisoformat("2026-11-26T04:00:00+13:00")
    for moment in (slot, slot.astimezone(UTC)):
        assert replace(claim(0, 3), scheduled_time=moment).as_of_date() == "2026-11-25"
