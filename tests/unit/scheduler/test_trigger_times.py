"""When a run is really queued: at the trigger's next call, whose time is a setting."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from services.platform.settings import REPOSITORY
from services.scheduler.cron.trigger_times import HOURLY, next_trigger, trigger_at
from services.scheduler.queue.trigger_plan import MAX_COUNTED, passed_over
from services.scheduler.settings import SchedulerSettings
from tests.support.yaml_text import parsed

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "fire_time", "queued"),
    [
        (HOURLY, NOON, NOON),
        (HOURLY, NOON + timedelta(minutes=1), NOON + timedelta(hours=1)),
        ("*/10 * * * *", NOON + timedelta(minutes=1), NOON + timedelta(minutes=10)),
        ("0 0 * * *", NOON, NOON + timedelta(hours=12)),
    ],
)
def test_a_fire_time_is_queued_by_the_first_trigger_at_it_or_after_it(cron: str, fire_time: datetime, queued: datetime) -> None:
    assert trigger_at(cron, fire_time) == queued
    assert next_trigger(cron, NOON) > NOON


@pytest.mark.parametrize(
    ("cron", "catch_up", "trigger", "count"),
    [
        ("* * * * *", "latest", HOURLY, 59),
        ("* * * * *", "days", HOURLY, 59),
        ("* * * * *", "all", HOURLY, 0),
        ("*/15 * * * *", "days", HOURLY, 3),
        ("0,30 9 * * *", "latest", HOURLY, 0),  # 09:00 by the trigger of 09:00, 09:30 by that of 10:00
        ("10,30 9 * * *", "latest", HOURLY, 1),
        ("30 2 * * *", "days", HOURLY, 0),
        ("0 * * * *", "latest", "0 */6 * * *", 5),
        ("0 * * * *", "days", "0 12 * * *", 22),  # of the 24 fire times up to noon one of each of two UTC days
        ("* * * * *", "latest", "0 0 * * *", MAX_COUNTED - 1),
        ("*/5 * * * *", "latest", "*/5 * * * *", 0),
    ],
)
def test_what_one_trigger_passes_over(cron: str, catch_up: str, trigger: str, count: int) -> None:
    """The same wherever in the hour it is asked: of a whole interval between two triggers."""
    for minutes in (0, 1, 29, 59):
        assert passed_over(cron, "UTC", catch_up, NOON + timedelta(minutes=minutes), trigger) == count


def test_the_setting_is_the_schedule_of_the_job() -> None:
    jobs = parsed((REPOSITORY / "configs" / "cloud_scheduler" / "jobs.yaml").read_text())["jobs"]
    (trigger,) = [job for job in jobs if job["name"].endswith("/convergence-trigger")]
    assert (SchedulerSettings().trigger_cron, trigger["timeZone"]) == (trigger["schedule"], "Etc/UTC")


def test_a_setting_that_is_no_cron_is_refused_at_start() -> None:
    with pytest.raises(ValidationError, match="hourly"):
        SchedulerSettings(trigger_cron="@hourly")
    assert SchedulerSettings(trigger_cron="*/5  * * * *").trigger_cron == "*/5 * * * *"
