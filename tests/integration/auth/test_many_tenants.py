"""The ledger under load: exact and cheap, with BigQuery's limits and conflicts."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.auth.ledger import Ledger
from services.auth.store import AuthStore, Settlement
from services.auth.usage.reserver import Reservation
from services.platform import metrics
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.clock import utc_day
from services.platform.errors import ConvergenceError, ResourceExhausted
from services.platform.settings import ServiceSettings
from tests.integration.auth.conftest import LEASE
from tests.support.set_clock import SetClock
from tests.support.strict_bigquery import StrictBigQuery, strict_bigquery

PROFILES = "INSERT INTO tenant_profiles (tenant_id, status) SELECT x.t, 'ACTIVE' FROM UNNEST(@rows) AS x"
SUBSCRIPTIONS = """
INSERT INTO tenant_subscriptions (subscription_id, tenant_id, status, daily_limit, monthly_limit, concurrent_limit)
SELECT x.t, x.t, 'ACTIVE', x.daily_limit, x.monthly_limit, x.concurrent_limit FROM UNNEST(@rows) AS x
"""
TENANTS, CALLS = 200, 1_000
PACE = ServiceSettings().dml_statements_per_10_seconds
pytestmark = pytest.mark.timeout(240)


def plan(number: int) -> Mapping[str, int]:
    """Mixed limits: none, daily, monthly, concurrent, zero; each tenant makes five calls."""
    return [
        {},
        {"daily_limit": 3},
        {"concurrent_limit": 2, "daily_limit": 4},
        {"monthly_limit": 1},
        {"daily_limit": 0},
    ][number % 5]


ADMITTED = [5, 3, 2, 1, 0]


@pytest.fixture
async def tenants(bq: BigQuery, tenant_id: str) -> list[str]:
    """Written with two statements: provisioning them one by one is not what is tested."""
    names = [f"{tenant_id}{number:03d}" for number in range(TENANTS)]
    blank = {"daily_limit": None, "monthly_limit": None, "concurrent_limit": None}
    rows = [{"t": name, **blank, **plan(number)} for number, name in enumerate(names)]
    kind = "ARRAY<STRUCT<t STRING, daily_limit INT64, monthly_limit INT64, concurrent_limit INT64>>"
    for sql in (PROFILES, SUBSCRIPTIONS):
        await bq.query(make_block("seed", sql, {"rows": kind}), {"rows": rows}, dataset=bq.control(), seconds=60)
    return names


@asynccontextmanager
async def process(settings: ServiceSettings, clock: SetClock) -> AsyncIterator[Ledger]:
    """An auth process: a BigQuery client, a budget and a ledger of its own."""
    async with BigQuery(settings, service="auth") as bq, Ledger(AuthStore(bq), clock, lease=LEASE, batch_window_seconds=1.0) as ledger:
        yield ledger


def spent() -> float:
    value: float = metrics.BIGQUERY_STATEMENTS.labels("tenant_usage_quotas", "dml")._value.get()
    return value


async def outcome(ledger: Ledger, tenant_id: str, call: int) -> Reservation | ConvergenceError:
    try:
        return await ledger.reserve(tenant_id, f"{tenant_id}-{call}", is_retry=False)
    except ConvergenceError as refused:
        return refused


@pytest.mark.parametrize("processes", [1, 2])
async def test_a_thousand_calls_of_two_hundred_tenants_are_admitted_exactly_and_in_few_statements(
    tenants: list[str], service_settings: ServiceSettings, clock: SetClock, processes: int
) -> None:
    """With conflicts, delays and lost answers too, no reservation is lost or counted twice, and no caller sees BigQuery's own words."""
    upstream = (service_settings.bigquery_emulator_host or "").removeprefix("http://")
    rules = StrictBigQuery(upstream=upstream, lose_every=3, longest_delay=0.05)
    with strict_bigquery(rules):
        settings = service_settings.model_copy(
            update={"bigquery_emulator_host": rules.url, "bigquery_deadline_seconds": 60.0, "dml_statements_per_10_seconds": PACE}
        )
        async with process(settings, clock) as one, process(settings, clock) as other:
            ledgers = [one, other][:processes]
            calls = [(tenant_id, call) for call in range(CALLS // TENANTS) for tenant_id in tenants]
            random.Random(1).shuffle(calls)
            before = spent()
            answers = await asyncio.gather(*(outcome(ledgers[n % processes], *call) for n, call in enumerate(calls)))
            assert spent() - before <= CALLS / 25

            granted = [call for call, answer in zip(calls, answers, strict=True) if isinstance(answer, Reservation)]
            refused: list[Any] = [answer for answer in answers if not isinstance(answer, Reservation)]
            assert {type(answer) for answer in refused} == {ResourceExhausted}
            assert not any("DML" in answer.message or "ransaction" in answer.message for answer in refused)
            count = Counter(tenant_id for tenant_id, _ in granted)
            assert {tenant_id: count[tenant_id] for tenant_id in tenants} == {name: ADMITTED[n % 5] for n, name in enumerate(tenants)}

            today = utc_day(clock.now())
            ends = [Settlement(tenant_id=t, reservation_id=f"{t}-{call}", usage_date=today, outcome="COMPLETED") for t, call in granted]
            before = spent()
            await asyncio.gather(*(ledgers[n % processes].settle([end]) for n, end in enumerate(ends)))
            assert spent() - before <= CALLS / 25
            usages = [await one.usage(tenant_id) for tenant_id in tenants[:5]]
            assert [(u.pipelines_run_today, u.pipelines_succeeded_today, u.concurrent_pipelines_running) for u in usages] == [
                (number, number, 0) for number in ADMITTED
            ]
    assert rules.refused["lost"] > 0
