"""What a run is counted for, and when it is refused or stopped: pure arithmetic."""

from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest

from services.executor.metering.cap import CapExceeded, RunAllowance, RunCap
from services.executor.metering.labels import run_labels
from services.executor.metering.meter import RunMeter, StepMeter
from services.executor.metering.run import Metering
from services.executor.records import Run, RunCost
from services.executor.settings import ExecutorSettings
from services.platform.bigquery.prices import MIN_BYTES, TIB

GIB = 2**30
PRICE = 6.25
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(pipeline_logging_id="0f3c", tenant_id="acme", pipeline_id="acme-gcp-cost-billing", started_at=NOW, deadline_at=NOW)


def meter(cap: RunCap | None = None, month_left_usd: float | None = None, price: float = PRICE) -> RunMeter:
    allowance = RunAllowance(month_left_usd=month_left_usd)
    return RunMeter(cap=cap, allowance=allowance, query_usd_per_tib=price, labels=run_labels(RUN))


def refused(cap: CapExceeded) -> dict[str, object]:
    found: dict[str, object] = cap.metadata["cap"]
    return found


def test_jobs_and_readings_of_all_tries_are_summed() -> None:
    run = meter()
    first, second = run.step("extract", 1), run.step("checks", 2)
    for _ in range(2):  # the same job is read again after a lost answer
        first.add_job("a", statement="s", bytes_billed=TIB, slot_ms=70)
    first.add_job("load", statement="s", bytes_billed=0, slot_ms=30)
    second.add_read_job("view", bytes_billed=TIB // 2, slot_ms=5, usd_per_tib=4.0)
    reading = second.allow(1000, usd_per_tib=0.0)
    assert run.cost.bytes_read == TIB // 2, "a reading counts once it begins"
    reading.begin()
    assert asdict(first.cost) == {"bytes_billed": TIB, "slot_ms": 100, "bytes_read": 0, "cost_usd": PRICE}
    assert run.cost == first.cost + second.cost
    assert run.cost == RunCost(bytes_billed=TIB, slot_ms=105, bytes_read=TIB // 2 + 1000, cost_usd=PRICE + 2.0)


def test_a_reading_counts_as_the_larger_of_its_estimate_and_what_came() -> None:
    step = meter().step("extract", 1)
    reading = step.allow(100, usd_per_tib=TIB / 100)
    reading.begin()
    reading.begin()
    reading.receive(60)
    assert (step.cost.bytes_read, step.cost.cost_usd) == (100, 1.0)
    reading.receive(60)
    reading.receive(5)
    assert (step.cost.bytes_read, step.cost.cost_usd) == (125, 1.25)


def test_a_run_is_refused_before_it_reads_more_than_its_cap_by_the_difference() -> None:
    """Also by readings together that are allowed one by one; what is refused is not counted."""
    step = meter(RunCap(bytes_read=10 * GIB)).step("extract", 1)
    first = step.allow(8 * GIB, usd_per_tib=1.1)
    with pytest.raises(CapExceeded) as said:
        step.allow(4 * GIB, usd_per_tib=1.1)
    assert refused(said.value) == {"name": "bytes_read", "most": 10 * GIB, "needed": 12 * GIB, "over_by": 2 * GIB}
    assert said.value.message == (
        "The run would come to 12.00 GiB: 2.00 GiB more than the cap of a run, 10.00 GiB read. This step was refused before it read. "
        "Run fewer days, or ask the operator for a larger `cap.bytes_read` (CONVERGENCE_RUN_MAX_BYTES_READ)."
    )
    assert not said.value.is_retryable
    first.begin()
    assert step.cost.bytes_read == 8 * GIB
    step.allow(2 * GIB, usd_per_tib=1.1)


def test_a_run_that_grows_past_its_cap_is_stopped() -> None:
    step = meter(RunCap(bytes_read=100)).step("extract", 1)
    reading = step.allow(90, usd_per_tib=1.1)
    reading.begin()
    reading.receive(100)
    with pytest.raises(CapExceeded, match=r"has come to 120 bytes: 20 bytes more than the cap .* It was stopped\."):
        reading.receive(20)
    assert step.cost.bytes_read == 120


def test_the_smaller_limit_in_dollars_is_the_one_that_refuses() -> None:
    for month_left, name in ((0.5, "monthly_cost_limit_usd"), (5.0, "cost_usd"), (None, "cost_usd")):
        step = meter(RunCap(cost_usd=1.0), month_left).step("extract", 1)
        with pytest.raises(CapExceeded) as said:
            step.allow(2 * TIB, usd_per_tib=1.0)
        most = min(1.0, month_left or 1.0)
        assert refused(said.value) == {"name": name, "most": most, "needed": 2.0, "over_by": 2.0 - most}


def test_a_query_may_be_billed_what_is_left() -> None:
    run = meter(RunCap(cost_usd=PRICE))
    step = run.step("checks", 1)
    assert step.max_bytes_billed() == TIB
    step.add_job("a", statement="s", bytes_billed=TIB // 4, slot_ms=0)
    run.step("extract", 1).allow(TIB // 4, usd_per_tib=PRICE)  # and what is allowed is not left, either
    assert step.max_bytes_billed() == TIB // 2
    error = step.refused(TIB)
    assert refused(error) == {"name": "cost_usd", "most": PRICE, "needed": 1.5 * PRICE, "over_by": 0.5 * PRICE}


def test_a_query_is_not_sent_if_even_the_minimum_is_too_much() -> None:
    for month_left, most in ((MIN_BYTES / TIB * PRICE * 0.9, None), (None, MIN_BYTES - 1)):
        step = meter(RunCap(bytes_read=most), month_left).step("checks", 1)
        with pytest.raises(CapExceeded, match="refused before it read"):
            step.max_bytes_read(PRICE)
    with pytest.raises(CapExceeded, match="this month's limit"):
        meter(month_left_usd=0.0).step("checks", 1).max_bytes_billed()


def test_a_query_in_the_tenants_project_may_read_what_both_caps_leave() -> None:
    step = meter(RunCap(bytes_read=TIB, cost_usd=PRICE / 2)).step("extract", 1)
    assert step.max_bytes_read(PRICE) == TIB // 2
    assert step.max_bytes_read(0.0) == TIB
    assert refused(step.refused_read(2 * TIB, usd_per_tib=PRICE))["over_by"] == TIB


def test_without_a_price_or_a_cap_nothing_is_limited() -> None:
    assert meter(RunCap(cost_usd=1.0), price=0.0).step("checks", 1).max_bytes_billed() is None
    assert (StepMeter().max_bytes_billed(), StepMeter().max_bytes_read(PRICE)) == (None, None)
    StepMeter().allow(2**60, usd_per_tib=PRICE).receive(2**61)


def test_what_a_template_leaves_open_is_the_operators() -> None:
    metering = Metering.of(ExecutorSettings(run_max_bytes_read=5, run_max_cost_usd=0.0))
    assert metering.default == RunCap(bytes_read=5)
    run = metering.meter(RUN, RunCap(cost_usd=2.0), RunAllowance())
    assert (run.max_bytes_read, run.max_cost) == ((5, "bytes_read"), (2.0, "cost_usd"))
    assert metering.meter(RUN, RunCap(bytes_read=9), RunAllowance(month_left_usd=1.0)).max_bytes_read == (9, "bytes_read")


def test_a_run_reads_no_more_of_an_export_than_the_plan_allows() -> None:
    """Refused before it reads, or, if the estimate was too small, as soon as more has come. A smaller cap of the template comes first."""
    plan = RunAllowance(max_export_bytes=2 * GIB)
    step = RunMeter(cap=RunCap(bytes_read=TIB), allowance=plan).step("extract", 1)
    with pytest.raises(CapExceeded) as said:
        step.allow(3 * GIB, usd_per_tib=1.1)
    assert refused(said.value) == {"name": "max_export_bytes", "most": 2 * GIB, "needed": 3 * GIB, "over_by": GIB}
    assert said.value.message == (
        "The run would come to 3.00 GiB: 1.00 GiB more than one run may read of an export by the tenant's plan, 2.00 GiB. This step was "
        "refused before it read. Run fewer days or months, or ask for a plan with a larger `max_export_bytes`."
    )
    assert not said.value.is_retryable
    reading = step.allow(GIB, usd_per_tib=1.1)
    reading.begin()
    with pytest.raises(CapExceeded, match="It was stopped"):
        reading.receive(2 * GIB + 1)
    assert RunMeter(cap=RunCap(bytes_read=GIB), allowance=plan).max_bytes_read == (GIB, "bytes_read")
    assert RunMeter(allowance=plan).step("view", 1).max_bytes_read(0.0) == 2 * GIB


def test_labels_are_as_bigquery_demands() -> None:
    long = replace(RUN, tenant_id="a" * 64, pipeline_id=f"{'a' * 64}-gcp-cost-billing")
    assert meter().step("Extract.1", 2).labels == {
        "tenant": "acme",
        "run": "0f3c",
        "pipeline": "gcp-cost-billing",
        "step": "extract_1",
        "attempt": "2",
    }
    assert run_labels(long) == {"tenant": "a" * 63, "run": "0f3c", "pipeline": "gcp-cost-billing"}
