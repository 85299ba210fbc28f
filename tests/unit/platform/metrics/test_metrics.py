"""What decides more than "one more" is counted right; every series that an alert reads begins at zero."""

import tomllib
from datetime import UTC, date, datetime, timedelta

import pytest
from google.api_core import exceptions as google
from prometheus_client import REGISTRY

from services.platform.errors import PermissionDenied, ResourceExhausted, Unavailable
from services.platform.metrics import bigquery, process, runs, tenants
from services.platform.settings import REPOSITORY

NOW = datetime(2025, 11, 18, 12, tzinfo=UTC)


def value(name: str, **labels: str) -> float:
    """Of a sample, 0 if it is not there."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    process.show_build("abc123")
    assert project["version"] == process.VERSION
    assert value("convergence_build_info", version=process.VERSION, commit="abc123") == 1


@pytest.mark.parametrize(
    ("raised", "decision", "limit"),
    [
        (None, "granted", ""),
        (ResourceExhausted("DAILY_LIMIT_REACHED", "x"), "refused", "daily"),
        (ResourceExhausted("MONTHLY_COST_LIMIT_REACHED", "x"), "refused", "monthly_cost"),
        (ResourceExhausted("CONCURRENT_LIMIT_REACHED", "x"), "refused", "concurrent"),
        (PermissionDenied("SUBSCRIPTION_NOT_ACTIVE", "x"), "refused", "subscription"),
    ],
)
def test_a_quota_decision_is_counted_with_its_limit(raised: Exception | None, decision: str, limit: str) -> None:
    def decided() -> float:
        return value("convergence_quota_decisions_total", decision=decision, limit=limit)

    before = decided()
    if raised is None:
        with tenants.quota_decision():
            pass
    else:
        with pytest.raises(type(raised)), tenants.quota_decision():
            raise raised
    assert decided() - before == 1


@pytest.mark.parametrize("error", [Unavailable("BIGQUERY_UNAVAILABLE", "x"), ResourceExhausted("RATE_LIMITED", "x")])
def test_an_error_that_decides_nothing_is_no_decision(error: Exception) -> None:
    def decided() -> float:
        return sum(sample.value for metric in tenants.QUOTA_DECISIONS.collect() for sample in metric.samples if "_total" in sample.name)

    before = decided()
    with pytest.raises(type(error)), tenants.quota_decision():
        raise error
    assert decided() == before


def test_the_queue_is_shown_as_it_was_seen() -> None:
    runs.show_queue(ready=3, processing=2, lapsed=1, oldest_since=NOW - timedelta(minutes=20), now=NOW)
    assert [value("convergence_queue_runs", state=state) for state in ("ready", "processing", "lapsed")] == [3, 2, 1]
    assert value("convergence_queue_oldest_seconds") == 1200
    runs.show_queue(ready=0, processing=0, lapsed=0, oldest_since=None, now=NOW)
    assert (value("convergence_queue_runs", state="ready"), value("convergence_queue_oldest_seconds")) == (0, 0)


def test_a_publish_shows_how_old_its_newest_day_is_and_how_many_were_restated() -> None:
    runs.published("test", newest_day=date(2025, 11, 17), restated_days=2, now=NOW)
    runs.published("test", newest_day=None, restated_days=0, now=NOW)
    assert value("convergence_data_age_seconds_count", provider="test") == 1
    assert value("convergence_data_age_seconds_sum", provider="test") == timedelta(hours=12).total_seconds()
    assert value("convergence_restatements_total", provider="test") == 2


def test_a_table_that_is_no_longer_busy_is_shown_so() -> None:
    gauge = bigquery.BudgetGauge()
    gauge.show({"a": 0.9, "b": 0.6})
    gauge.show({"b": 0.7})
    assert [value("convergence_table_budget_used_ratio", table=table) for table in "ab"] == [0, 0.7]


def test_what_a_job_costs_is_counted_by_statement_pipeline_and_bill() -> None:
    bigquery.billed("s", bytes_billed=100, slot_ms=1500, usd=0.25, pipeline="p")
    bigquery.read_of_tenant("p", size=7, usd=0.5)
    assert value("convergence_bigquery_bytes_billed_total", statement="s", pipeline="p") == 100
    assert value("convergence_bigquery_slot_seconds_total", statement="s", pipeline="p") == 1.5
    assert value("convergence_storage_read_bytes_total", pipeline="p") == 7
    assert [value("convergence_dollars_total", bill=bill, pipeline="p") for bill in ("platform", "tenant")] == [0.25, 0.5]


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (None, "OK"),
        (google.PermissionDenied("x"), "PERMISSION_DENIED"),  # type: ignore[no-untyped-call]
        (TimeoutError(), "DEADLINE_EXCEEDED"),
    ],
)
def test_a_call_of_kms_is_counted_by_its_code(raised: Exception | None, code: str) -> None:
    before = value("convergence_kms_seconds_count", op="test", code=code)
    if raised is None:
        with process.kms_call("test"):
            pass
    else:
        with pytest.raises(type(raised)), process.kms_call("test"):
            raise raised
    assert value("convergence_kms_seconds_count", op="test", code=code) - before == 1


def test_jobs_are_shown_before_they_have_called() -> None:
    process.expect_jobs(["a-job"])
    assert REGISTRY.get_sample_value("convergence_job_last_success_timestamp_seconds", {"job_name": "a-job"}) == 0
    process.job_succeeded("a-job")
    assert value("convergence_job_last_success_timestamp_seconds", job_name="a-job") > 1.7e9
