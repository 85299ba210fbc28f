"""Faults looked for in the replacement of billing periods: what is left of a lost race, and months that share days with others."""

from datetime import timedelta

from services.executor.records import RunStatus
from tests.integration.executor.steps.test_months import NOV, OCT, Runs, Version, at, catalog, of, runs

__all__ = ["catalog", "runs"]
A, B = "AWS/s3://bucket/a", "AWS/s3://bucket/b"


async def test_a_row_that_a_slower_run_has_prepared_does_not_stop_later_ones(runs: Runs) -> None:
    """Two runs publish a period for the first time. One prepares its row (version 0) while the other one's transaction, which cannot see
    it, commits: an INSERT conflicts with nothing.
    """
    runs.cloud.versions[A, NOV] = Version(of(NOV, 1.0), at(1))
    await runs.run(month="2025-11")
    await runs.tenant.rows(f"INSERT INTO x_meta_exports (source_id, billing_period, version) VALUES ('{A}', '{NOV}', 0)")
    runs.cloud.versions[A, NOV] = Version(of(NOV, 2.0), at(2))
    outcome = await runs.run(month="2025-11")
    assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
    await runs.expect((NOV, of(NOV, 2.0)))


async def test_rows_of_another_export_do_not_hide_that_a_month_loses_its_rows(runs: Runs) -> None:
    runs.cloud.versions |= {(A, NOV): Version(of(NOV, *[1.0] * 10), at(1)), (B, NOV): Version(of(NOV, *[9.0] * 10), at(1))}
    await runs.run(month="2025-11")
    await runs.run(month="2025-11", export="s3://bucket/b")
    runs.cloud.versions[A, NOV] = Version(of(NOV, 1.0), at(2))
    outcome = await runs.run(month="2025-11")
    assert outcome.status is RunStatus.FAILED
    await runs.expect((NOV, of(NOV, *[1.0] * 10)), (NOV, of(NOV, *[9.0] * 10)))


async def test_a_month_may_lose_the_day_that_it_had_in_the_next_month(runs: Runs) -> None:
    """A charge of October that began in November: half of what a period has there is no measure."""
    runs.cloud.versions[A, OCT] = Version({**of(OCT, *[1.0] * 10), NOV: 5.0}, at(1))
    await runs.run(month="2025-10")
    runs.cloud.versions[A, OCT] = Version({**of(OCT, *[1.0] * 10), OCT + timedelta(days=30): 5.0}, at(2))
    outcome = await runs.run(month="2025-10")
    assert (outcome.status, outcome.error_message) == (RunStatus.COMPLETED, None)
