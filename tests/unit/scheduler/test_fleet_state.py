"""Which jobs are overdue, and what counts as lost. Time is passed in."""

from datetime import UTC, datetime, timedelta

import pytest

from services.platform.reporting.events import EventKind
from services.platform.reporting.jobs import job_of
from services.platform.settings import REPOSITORY
from services.scheduler.fleet.state import INTERVALS, EventSummary, FleetState
from tests.support.yaml_text import parsed
from tests.unit.platform.access.test_rules import METHODS

NOW = datetime(2025, 11, 18, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def event(kind: EventKind, name: str = "", *, ago: timedelta = HOUR, first: timedelta | None = None, most: float = 1.0) -> EventSummary:
    return EventSummary(kind=kind, name=name, first_time=NOW - (first or ago), last_time=NOW - ago, most=most, total=most)


def overdue(*events: EventSummary, up: timedelta) -> set[str]:
    return {job.name for job in FleetState.of(events, now=NOW, since=NOW - up).jobs if job.is_overdue}


@pytest.mark.parametrize(
    ("ago", "late"),
    [
        (timedelta(minutes=10), set()),
        (timedelta(minutes=11), {"process-queue"}),
        (2 * HOUR, {"process-queue"}),
        (2 * HOUR + timedelta(seconds=1), {"process-queue", "trigger"}),
        (2 * DAY, {"process-queue", "trigger"}),
        (2 * DAY + timedelta(seconds=1), set(INTERVALS)),
    ],
)
def test_a_job_is_overdue_after_two_intervals(ago: timedelta, late: set[str]) -> None:
    assert overdue(*(event(EventKind.JOB_SUCCEEDED, name, ago=ago) for name in INTERVALS), up=9 * DAY) == late


def test_a_job_that_never_came_is_overdue_once_it_could_have_come() -> None:
    """As long as this process has run, or as anything is known of others: a scheduler that restarts often knows that way."""
    assert overdue(up=timedelta(minutes=1)) == set()
    assert overdue(up=3 * HOUR) == {"process-queue", "trigger"}
    seen = event(EventKind.JOB_SUCCEEDED, "process-queue", ago=timedelta(minutes=1), first=3 * DAY)
    assert overdue(seen, up=timedelta(minutes=1)) == {"trigger", "reset-daily-quotas", "check-credentials"}


def test_losses_of_all_kinds_are_added_and_busy_tables_named() -> None:
    state = FleetState.of(
        [
            event(EventKind.SLOT_LOST, most=2),
            event(EventKind.RUN_OVERDUE),
            event(EventKind.CLAIMS_LOST, most=3),
            event(EventKind.DML_BUDGET, "tenant_usage_quotas", most=0.8),
            event(EventKind.JOB_SUCCEEDED, "trigger"),
        ],
        now=NOW,
        since=NOW,
    )
    assert (state.leases_lost, state.budgets) == (6, {"tenant_usage_quotas": 0.8})


def test_the_jobs_are_those_that_cloud_scheduler_is_given_and_those_that_report() -> None:
    """Three places name them: the file of jobs, the protos, and the intervals here."""
    given = parsed((REPOSITORY / "configs" / "cloud_scheduler" / "jobs.yaml").read_text())["jobs"]
    in_file = {job["name"].rpartition("/convergence-")[2]: job["httpTarget"]["uri"].rpartition("/")[2] for job in given}
    assert in_file == {name: name for name in INTERVALS}
    assert {job for method in METHODS if (job := job_of(method))} == set(INTERVALS)
