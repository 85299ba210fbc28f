"""Why a queued run is not running yet: each reason, and their order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler.queue.position import QueuePosition, waiting

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEXT = QueuePosition(
    queue_state="QUEUED",
    not_before=None,
    processing_started_at=None,
    schedule_paused=False,
    tenant_runnable=True,
    units_left=3,
    slots_left=None,
    runs_before=0,
)


@pytest.mark.parametrize(
    ("changes", "retries", "reason", "told"),
    [
        ({}, 0, "TURN", "It is next"),
        ({"runs_before": 7}, 0, "TURN", "7 ready runs"),
        ({"slots_left": 0}, 0, "CONCURRENT_LIMIT", "running"),
        ({"units_left": 0, "slots_left": 0}, 0, "DAILY_OR_MONTHLY_LIMIT", "used up"),
        ({"units_left": 0}, 1, "TURN", "It is next"),
        (
            {"not_before": NOW + timedelta(minutes=2), "units_left": 0},
            1,
            "BACKOFF",
            "failed and is tried again not before 2026-03-01T12:02",
        ),
        ({"not_before": NOW + timedelta(minutes=2), "units_left": 0}, 0, "DAILY_OR_MONTHLY_LIMIT", "used up"),
        ({"not_before": NOW + timedelta(minutes=2)}, 0, "BACKOFF", "refused for now"),
        ({"not_before": NOW}, 0, "TURN", "It is next"),
        ({"tenant_runnable": False, "not_before": NOW + timedelta(minutes=2)}, 0, "TENANT_NOT_ACTIVE", "ACTIVE"),
        ({"schedule_paused": True, "tenant_runnable": False}, 0, "TENANT_NOT_ACTIVE", "ACTIVE"),
        ({"schedule_paused": True, "units_left": 0, "not_before": NOW + timedelta(minutes=2)}, 1, "SCHEDULE_PAUSED", "is_active"),
        ({"queue_state": "PROCESSING", "tenant_runnable": False, "schedule_paused": True}, 0, "STARTING", "started"),
    ],
)
def test_what_keeps_a_run_waiting(changes: dict[str, object], retries: int, reason: str, told: str) -> None:
    found = waiting(replace(NEXT, **changes), retry_count=retries, started_at=None, now=NOW)  # type: ignore[arg-type]
    assert found is not None
    assert (found.reason, told in found.message) == (reason, True), found.message


def test_a_run_that_runs_or_has_left_the_queue_waits_for_nothing() -> None:
    assert waiting(None, retry_count=0, started_at=None, now=NOW) is None
    claimed = replace(NEXT, queue_state="PROCESSING", processing_started_at=NOW)
    assert waiting(claimed, retry_count=0, started_at=NOW, now=NOW) is None
    earlier = waiting(claimed, retry_count=1, started_at=NOW - timedelta(hours=1), now=NOW)
    assert earlier is not None
    assert earlier.reason == "STARTING"
