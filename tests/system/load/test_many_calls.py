"""Many tenants call at once, through all four services: exact, cheap, and no caller sees BigQuery's own errors."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from benchmarks.crowd import CALLS
from benchmarks.whole_stack import CallResult, run_all
from localcloud.rest import Rest, until
from tests.system.load.conftest import Load

pytestmark = pytest.mark.timeout(1800)

SECONDS = 900.0
BIGQUERYS_WORDS = ("bigquery", "dml", "transaction", "table", "insert", "update", "quota exceeded", "streaming", "query", "job", "http")


FEW_CALLS = 18
"""Statements that a crowd too small to share them all may take: each process opens the day with two, and its first callers go first."""


def on_the_ledger(spent: Mapping[tuple[str, ...], int]) -> int:
    """What changed the ledger, without what was sent again because its answer was lost."""
    again = sum(spent["convergence_bigquery_retries_total", block] for block in ("reserve", "open_day", "open_day", "renew"))
    return spent["convergence_bigquery_statements_total", "dml", "tenant_usage_quotas"] - again


def admitted(results: list[CallResult]) -> Mapping[str, int]:
    return Counter(one.member.tenant_id for one in results if one.code == "OK")


async def test_all_are_admitted_that_the_limits_allow_in_few_statements_and_counted_once(
    load: Load, record_property: Callable[[str, object], None]
) -> None:
    """While no run ends, then when all have ended."""
    calls = [member for _ in range(CALLS) for member in load.crowd]
    random.Random(1).shuffle(calls)
    before = load.whole.counted()

    began = time.monotonic()

    async with load.whole.gateway_channel() as channel:
        results = await run_all(channel, calls)

    took = time.monotonic() - began
    spent = load.whole.counted() - before
    codes = Counter(one.code for one in results)
    record_property("calls", f"{codes} in {took:.0f} s, {on_the_ledger(spent)} statements on the ledger; {load.gate.refused}")
    assert codes.keys() == {"OK", "RESOURCE_EXHAUSTED"}
    assert not [one.message for one in results if any(word in one.message.lower() for word in BIGQUERYS_WORDS)]
    assert {member.tenant_id: admitted(results)[member.tenant_id] for member in load.crowd} == {
        member.tenant_id: member.admitted for member in load.crowd
    }
    assert on_the_ledger(spent) <= max(FEW_CALLS, len(calls) / 25)
    assert load.gate.refused["lost"] > 0 or not load.gate.rules

    load.gate.opened.set()
    ended = await asyncio.gather(*(asyncio.to_thread(counted, load, member.tenant_id, member.api_key) for member in load.crowd))
    assert ended == [(member.admitted, member.admitted, 0, 0) for member in load.crowd]


def counted(load: Load, tenant_id: str, api_key: str) -> tuple[int, int, int, int]:
    """What the ledger says once nothing runs any more."""
    rest = Rest(url=load.whole.stack.env["GATEWAY_URL"], headers={"X-API-Key": api_key})

    def usage() -> tuple[int, int, int, int]:
        body = rest.call("GET", f"/api/v1/tenants/{tenant_id}/quota").body
        names = ("pipelines_run_today", "pipelines_succeeded_today", "pipelines_failed_today", "concurrent_pipelines_running")
        run, succeeded, failed, running = (body.get(name, -1) for name in names)
        return run, succeeded, failed, running

    return until(usage, lambda found: found[0] == found[1] + found[2] and found[3] == 0, seconds=SECONDS, every=2.0)
