"""What the ledger reads and writes for a lone run of a minute, by our own counters. Each table of a statement has its price."""

from datetime import timedelta

from services.auth.ledger import Ledger
from services.platform.metrics import BIGQUERY_STATEMENTS
from tests.integration.auth.conftest import LEASE, Provision
from tests.integration.auth.test_ledger import ask, new_id, settlement
from tests.support.set_clock import SetClock

CHECK, SWEEP, MINUTE = 5, 20, 60
"""Seconds: an executor's intervals, see services/executor/runs/leases.py."""


def references() -> float:
    """Tables in statements so far."""
    return sum(
        sample.value for metric in BIGQUERY_STATEMENTS.collect() for sample in metric.samples if sample.name.endswith("_statements_total")
    )


async def test_a_lone_run_of_a_minute_and_idle_time_after_it(ledger: Ledger, clock: SetClock, provision: Provision) -> None:
    """Reserving takes 2, the renewal and settling 1 each. Leases are listed at no charge: the table is small."""
    clock.time += timedelta(days=500)  # no other test's leases are looked for then
    tenant_id, run, renewed = await provision(), new_id(), 0
    await ledger.usage(tenant_id)
    await ledger.settle([settlement(tenant_id, run, await ask(ledger, tenant_id, run))])
    await ledger.expired()
    before = references()

    slot = await ask(ledger, tenant_id, run)
    clock.time += timedelta(seconds=3)
    for second in range(3, MINUTE, CHECK):
        if second % SWEEP == 3:
            assert await ledger.expired() == []
        if second - renewed >= LEASE.total_seconds() / 2:
            assert (await ledger.renew([run])).held == {run}
            renewed = second
        assert await ledger.check([run]) == {run}
        clock.time += timedelta(seconds=CHECK)
    await ledger.settle([settlement(tenant_id, run, slot)])
    assert references() - before == 2 + 1 + 1

    for _ in range(3 * MINUTE // SWEEP):
        clock.time += timedelta(seconds=SWEEP)
        assert await ledger.expired() == []
    assert references() - before == 4
