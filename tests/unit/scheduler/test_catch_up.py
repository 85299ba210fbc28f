"""The default of `catch_up`, from the parameters, in every place that reads a row."""

from typing import Any

import pytest

from services.scheduler.cron.catch_up import default_catch_up
from services.scheduler.queue.trigger_plan import DueSchedule
from services.scheduler.schedules.schedule import Change, Schedule

PARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({"date": "2026-11-05"}, "latest"),
    ({"date": "2026-11-05", "note": "yesterday"}, "latest"),
    ({"start_date": "2026-11-01", "end_date": "2026-11-05"}, "latest"),
    ({"date": None, "start_date": "2026-11-01", "end_date": "2026-11-05"}, "latest"),
    ({}, "days"),
    ({"note": "2026-11-05"}, "days"),
    ({"date": "yesterday"}, "days"),
    ({"date": None}, "days"),
    ({"date": 20261105.0}, "days"),
    ({"start_date": "2026-11-01", "end_date": "yesterday"}, "days"),
    ({"start_date": "yesterday", "end_date": "yesterday"}, "days"),
    ({"start_date": "2026-11-01"}, "days"),
]
ROW: dict[str, Any] = {
    "config_id": "c",
    "tenant_id": "t",
    "schedule_cron": "0 3 * * *",
    "timezone": None,
    "priority": 50,
    "catch_up": None,
    "next_run_time": None,
    "units_left": None,
    "places_left": 1_000,
}


def schedule(**row: Any) -> Schedule:
    blank = Schedule.blank(config_id="c", tenant_id="t", provider="gcp", domain="cost", pipeline_template="billing")
    columns = {name: getattr(blank, name) for name in Schedule.__slots__}
    return Schedule.from_row({**columns, **row})


@pytest.mark.parametrize(("parameters", "expected"), PARAMETERS)
@pytest.mark.parametrize("said", [None, ""])
def test_literal_days_are_run_once_and_others_for_each_day(parameters: dict[str, Any], expected: str, said: str | None) -> None:
    assert default_catch_up(parameters) == expected
    assert DueSchedule.from_row({**ROW, "catch_up": said, "parameters": parameters}).catch_up == expected
    assert schedule(catch_up=said, parameters=parameters).effective_catch_up == expected


@pytest.mark.parametrize("said", ["latest", "days", "all"])
@pytest.mark.parametrize("parameters", [None, {}, {"date": "2026-11-05"}, "no object"])
def test_what_a_row_says_holds(said: str, parameters: object) -> None:
    assert DueSchedule.from_row({**ROW, "catch_up": said, "parameters": parameters}).catch_up == said
    assert schedule(catch_up=said, parameters=parameters).effective_catch_up == said


def test_a_default_follows_the_parameters() -> None:
    nightly = schedule(parameters={"date": "yesterday"})
    fixed = Change(parameters={"date": "2026-11-05"}).applied_to(nightly)
    again = Change(parameters={}).applied_to(fixed)
    assert [one.effective_catch_up for one in (nightly, fixed, again)] == ["days", "latest", "days"]
    assert Change(parameters={}, catch_up="all").applied_to(fixed).effective_catch_up == "all"
