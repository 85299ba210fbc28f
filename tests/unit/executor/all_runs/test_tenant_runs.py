"""What is kept of a run for operators, and which days a list reads."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.executor.all_runs.tenant_run import COLUMNS, AllRunsFilter, TenantRun, last_days
from services.executor.checks.samples import Sample
from services.executor.checks.verdicts import Check, Verdict, refuse_errors
from services.executor.errors import StepError
from services.executor.records import Run, RunCost, RunOutcome, RunStatus
from services.executor.steps.publish_changes import too_little

NOW = datetime(2025, 11, 18, 12, 30, tzinfo=UTC)
RUN = Run(pipeline_logging_id="r", tenant_id="acme", pipeline_id="acme-gcp-cost-billing", started_at=NOW, deadline_at=NOW)
COST = RunCost(cost_usd=0.5)
FAILED = RunOutcome(status=RunStatus.FAILED, error_message="Step extract: the export is gone.")


def failed_check(name: str, observed: str) -> Verdict:
    check = Check(name=name, severity="error", expect="the sum of the export")
    sample: Sample = []
    return Verdict(check=check, failing_rows=1, observed_value=observed, sample=sample)


def test_each_thing_that_is_known_of_a_run_has_one_id() -> None:
    """A row that another process sends again is recognised, and one that knows more is another."""
    began = TenantRun.of(RUN)
    ends = [began.ended(FAILED, NOW), began.ended(RunOutcome(status=RunStatus.FAILED, error_message="?", cost=COST), NOW)]
    entries = [run.entry(NOW) for run in (began, *ends)]
    assert [entry["entry_id"] for entry in entries] == ["r:RUNNING", "r:FAILED", "r:FAILED:cost"]
    assert (entries[0]["pipeline_id"], entries[0]["started_at"], entries[0]["completed_at"]) == ("gcp-cost-billing", NOW.isoformat(), None)
    assert began.entry(NOW + timedelta(hours=1))["entry_id"] == entries[0]["entry_id"]


def test_only_a_failure_has_an_error() -> None:
    """A cancelled run has a message in its row."""
    why = "The run was cancelled."
    row = {name: getattr(RUN, name) for name in COLUMNS} | {"status": "CANCELLED", "error_message": why}
    assert TenantRun.from_row("acme", row).error_message is None
    assert TenantRun.from_row("acme", row | {"status": "FAILED"}).error_message == why
    assert TenantRun.of(RUN).ended(RunOutcome(status=RunStatus.CANCELLED, error_message=why), NOW).error_message is None


def test_what_the_documented_insert_leaves_out_may_be_missing() -> None:
    row = dict.fromkeys(COLUMNS) | {"pipeline_logging_id": "r", "status": "RUNNING", "started_at": NOW}
    assert (run := TenantRun.from_row("acme", row)).trigger_type == "api"
    assert run.pipeline_id == ""


def test_what_a_check_observed_is_not_shown_to_operators() -> None:
    """Whatever it is: it may have any text in it."""
    with pytest.raises(StepError) as refused:
        refuse_errors([failed_check("billed", "1234.56; x). account 99"), failed_check("listed", "77.70")])
    shown = TenantRun.of(RUN).ended(RunOutcome(status=RunStatus.FAILED, error_message=f"Step checks: {refused.value.message}"), NOW)
    assert shown.error_message == (
        "Step checks: Quality checks failed, what they guard was not published: billed (expected the sum of the export, 1 rows fail; "
        "the rest is shown to the tenant only)."
    )


@pytest.mark.parametrize("currency", ["USD", None])
def test_what_a_day_costs_is_not_shown_to_operators(currency: str | None) -> None:
    change = {
        "is_too_little": True,
        "usage_date": date(2025, 11, 17),
        "currency": currency,
        "rows_before": 10,
        "rows_after": 2,
        "cost_before": 4321.5,
        "cost_after": -1.0,
        "net_before": 4321.5,
        "net_after": -1.0,
    }
    error = too_little([change, change | {"usage_date": date(2025, 11, 18)}])
    assert error is not None
    assert "4321.50" in error.message
    shown = TenantRun.of(RUN).ended(RunOutcome(status=RunStatus.FAILED, error_message=error.message), NOW).error_message
    assert shown is not None
    assert "2025-11-18 would keep 2 of 10" in shown
    assert ("4321" in shown, "-1.00" in shown, "complete" in shown) == (False, False, True)


def test_a_list_without_a_day_is_of_the_last_seven() -> None:
    assert last_days(NOW) == (datetime(2025, 11, 12, tzinfo=UTC), datetime(2025, 11, 19, tzinfo=UTC))


def test_a_later_page_reads_no_day_that_was_shown() -> None:
    """An hour more at both ends: of two executors that start a run, each notes its own time."""
    first, before = last_days(NOW)
    page = AllRunsFilter(began_from=first, began_before=before)
    assert (page.params["read_from"], page.params["read_before"]) == (first - timedelta(hours=1), before + timedelta(hours=1))
    after = datetime(2025, 11, 14, 3, tzinfo=UTC)
    later = AllRunsFilter(began_from=first, began_before=before, after=(after, "r"))
    assert (later.params["read_before"], later.params["after_started_at"]) == (after + timedelta(hours=1), after)
