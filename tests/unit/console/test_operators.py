"""What the operator's screens judge."""

from datetime import UTC, datetime

import pytest

from console.screens.fleet.verdict import verdicts_of
from console.screens.tenants.health import health_of

NOW = datetime(2026, 11, 26, 10, tzinfo=UTC)
WELL = {"jobs": [], "leases_lost": 0, "budgets": []}


@pytest.mark.parametrize(
    ("completed", "failed", "status", "state"),
    [
        (None, None, "ACTIVE", "UNUSED"),
        ("2026-11-26T01:00:00Z", None, "ACTIVE", "FRESH"),
        ("2026-11-24T01:00:00Z", None, "ACTIVE", "STALE"),
        ("2026-11-26T01:00:00Z", "2026-11-26T02:00:00Z", "ACTIVE", "FAILING"),
        ("2026-11-26T03:00:00Z", "2026-11-26T02:00:00Z", "ACTIVE", "FRESH"),
        (None, "2026-11-26T02:00:00Z", "ACTIVE", "FAILING"),
        ("2026-11-24T01:00:00Z", None, "SUSPENDED", "SUSPENDED"),
    ],
)
def test_a_tenant_is_as_its_last_runs_are(completed: str | None, failed: str | None, status: str, state: str) -> None:
    summary = {"tenant": {"status": status}, "last_completed_at": completed, "last_failed_at": failed, "runs_today": 0}
    assert health_of(summary, NOW).state == state


@pytest.mark.parametrize(("limit", "runs", "share"), [(None, 7, None), (10, 5, 0.5), (0, 0, 1.0), (4, 9, 1.0)])
def test_the_share_of_the_day_that_is_used(limit: int | None, runs: int, share: float | None) -> None:
    tenant = {"status": "ACTIVE"} | ({} if limit is None else {"daily_limit": limit})
    assert health_of({"tenant": tenant, "runs_today": runs}, NOW).daily_share == share


def test_a_key_is_old_after_a_year() -> None:
    summary = {"tenant": {"status": "ACTIVE"}, "runs_today": 0, "oldest_key_created_at": "2025-11-20T00:00:00Z"}
    assert health_of(summary, NOW).key_is_old


def test_what_is_bad_in_the_fleet_is_said_and_nothing_else() -> None:
    fleet = {
        "jobs": [{"job": "trigger", "overdue": True}, {"job": "process-queue", "overdue": False}],
        "oldest_queued_time": "2026-11-26T09:30:00Z",
        "leases_lost": 2,
        "budgets": [{"table": "tenant_usage_quotas", "used": 0.9}, {"table": "audit_log", "used": 0.6}],
    }
    found = verdicts_of(fleet, NOW)

    assert [sentence.split()[2] for sentence in found][:1] == ["trigger"]
    assert len(found) == 4
    assert "30 min ago" in found[1]
    assert verdicts_of(WELL | {"oldest_queued_time": "2026-11-26T09:50:00Z"}, NOW) == []
