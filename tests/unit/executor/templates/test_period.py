"""Which days a run covers."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.records import Period, Run, StepLog
from services.executor.servicers.to_proto import to_run
from services.executor.templates.parameters import ParameterSpec, ParameterType, resolve
from services.executor.templates.period import MAX_DAYS, check_days, days_not_over, has_period, period_of, unfilled
from services.platform.errors import InvalidArgument

DATE = ParameterType.DATE
SPECS = [
    ParameterSpec(name="date", type=DATE, required=True, scheduled="yesterday", description=""),
    ParameterSpec(name="start_date", type=DATE, description=""),
    ParameterSpec(name="end_date", type=DATE, description=""),
]


def period(given: Mapping[str, object], *, scheduled: bool = False) -> Period | None:
    """As the starter puts it together."""
    now = datetime(2025, 3, 1, tzinfo=UTC)
    return period_of(resolve(SPECS, given, now=now, scheduled=scheduled, unfilled=unfilled(given)))


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        ({"date": "2025-11-17"}, "2025-11-17", "2025-11-17"),
        ({"date": "yesterday"}, "2025-02-28", "2025-02-28"),
        ({"start_date": "2024-02-01", "end_date": "2024-02-29"}, "2024-02-01", "2024-02-29"),
        ({"date": None, "start_date": "2025-01-01", "end_date": "2025-01-31"}, "2025-01-01", "2025-01-31"),
    ],
)
@pytest.mark.parametrize("scheduled", [True, False])
def test_a_day_or_a_range(given: Mapping[str, object], first: str, last: str, scheduled: bool) -> None:
    found = period(given, scheduled=scheduled)
    assert found == Period(first=date.fromisoformat(first), last=date.fromisoformat(last))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "date"),
        ({"date": "2025-11-17", "start_date": "2025-11-17"}, "date"),
        ({"start_date": "2025-11-17"}, "end_date"),
        ({"end_date": "2025-11-17"}, "start_date"),
        ({"start_date": "2025-11-17", "end_date": "2025-11-16"}, "end_date"),
        ({"start_date": "2025-01-01", "end_date": "2025-02-01"}, "end_date"),
    ],
)
def test_what_means_no_days_is_refused_by_name(given: Mapping[str, object], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        period(given)
    assert refused.value.field == f"parameters.{field}"


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"date": "today"}, "date", "2025-03-01 in UTC) is not over"),
        ({"start_date": "yesterday", "end_date": "today"}, "end_date", "Use yesterday"),
        ({"start_date": "today", "end_date": "today"}, "start_date", "by its date"),
        ({"date": "2025-03-02"}, "date", "2025-03-02 is still to come; in UTC it is 2025-03-01"),
        ({"start_date": "2025-02-20", "end_date": "2025-03-02"}, "end_date", "still to come"),
        ({"date": "2025-03-01"}, None, ""),
        ({"date": "yesterday"}, None, ""),
        ({"start_date": "2025-02-27", "end_date": "2025-03-01"}, None, ""),
        ({}, None, ""),
    ],
)
def test_no_day_that_is_not_over_is_loaded_unless_it_is_named(given: Mapping[str, object], field: str | None, said: str) -> None:
    now = datetime(2025, 3, 1, 23, 59, tzinfo=UTC)
    values = resolve(SPECS, given, now=now, scheduled=True, unfilled=unfilled(given))
    if field is None:
        check_days(given, values, now)
        return
    with pytest.raises(InvalidArgument, match=re.escape(said)) as refused:
        check_days(given, values, now)
    assert refused.value.field == f"parameters.{field}"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"date": "2025-02-28"}, []),
        ({"date": "2025-03-01"}, ["2025-03-01"]),
        ({"start_date": "2025-02-27", "end_date": "2025-03-01"}, ["2025-03-01"]),
        ({"month": "2025-03"}, []),
        ({"date": "yesterday"}, []),  # of a start that was refused, whose record has what was asked for
        ({"date": 7}, []),
    ],
)
def test_a_record_tells_which_of_its_days_were_not_over(parameters: Mapping[str, object], expected: list[str]) -> None:
    assert [day.isoformat() for day in days_not_over(parameters, datetime(2025, 3, 1, 0, 0, 1, tzinfo=UTC))] == expected


def test_a_run_says_it() -> None:
    began = datetime(2025, 3, 1, 12, tzinfo=UTC)
    run = Run(
        pipeline_logging_id="r",
        tenant_id="t",
        pipeline_id="t-gcp-cost-billing",
        parameters={"start_date": "2025-02-28", "end_date": "2025-03-01"},
        started_at=began,
        deadline_at=began,
    )
    assert list(to_run(run).days_not_over) == ["2025-03-01"]
    found = replace(run, parameters={"days": "changed"})
    step = StepLog(
        log_id="l",
        tenant_id="t",
        user_id=None,
        pipeline_logging_id="r",
        step_id="extract",
        step_type="gcp.bigquery_extract",
        step_index=0,
        attempt=1,
        action="STEP_COMPLETED",
        provider="GCP",
        status="COMPLETED",
        timestamp=began,
    )
    steps = [step, replace(step, metadata={"days": ["2025-02-27", "2025-03-01"], "days_not_over": ["2025-03-01"]}), step]
    assert list(to_run(found).days_not_over) == []
    assert list(to_run(found, steps).days_not_over) == ["2025-03-01"]


def test_a_schedule_that_says_nothing_means_its_day() -> None:
    assert period({}, scheduled=True) == Period(first=date(2025, 2, 28), last=date(2025, 2, 28))


@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(1, MAX_DAYS))
def test_a_range_is_each_of_its_days_once(first: date, days: int) -> None:
    last = date.fromordinal(first.toordinal() + days - 1)
    found = period({"start_date": first.isoformat(), "end_date": last.isoformat()})
    assert found is not None
    assert [day.toordinal() - first.toordinal() for day in found.days] == list(range(days))


def test_what_a_template_may_declare() -> None:
    assert has_period({"date": DATE, "start_date": DATE, "end_date": DATE})
    assert has_period({"date": DATE})
    assert not has_period({"month": ParameterType.MONTH})
    for half in ({"date": DATE, "start_date": DATE}, {"start_date": DATE, "end_date": DATE}, {"date": ParameterType.STRING}):
        with pytest.raises(ValueError, match="date"):
            has_period(half)
