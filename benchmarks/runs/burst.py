"""Twenty runs at once: five tenants, four days each."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Final

from benchmarks.runs.processes import cpu_seconds
from benchmarks.sample_tenants import RUN_SECONDS, SampleTenant
from benchmarks.whole_stack import WholeStack
from localcloud.settings import SERVICES

LOOK_SECONDS: Final = 0.25
PROCESSES: Final = ("bigquery", "kms", *SERVICES, "gateway")
QUIET_SECONDS: Final = 12.0
"""After the last end, until what was gathered is settled; its CPU belongs to the runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Burst:
    """In seconds from the first call."""

    runs: int
    answered: float
    """The last answer. All are accepted."""
    first_done: float
    all_done: float
    cpu_a_run: float
    """CPU seconds of all processes of the suite."""


def burst(whole: WholeStack, tenants: Sequence[SampleTenant], days: Sequence[date]) -> Burst:
    """Starts a run for each tenant and day at once, and waits for all. Raises RuntimeError if one is refused or fails."""
    pids = [whole.stack.pid(name) for name in PROCESSES]
    before = sum(map(cpu_seconds, pids))
    calls = [(tenant, str(day)) for tenant in tenants for day in days]
    began = time.monotonic()
    with ThreadPoolExecutor(len(calls)) as pool:
        runs = list(pool.map(lambda call: call[0].start(date=call[1]), calls))
    answered = time.monotonic() - began
    ended = _ended(whole, tenants, runs, began)
    time.sleep(QUIET_SECONDS)
    cpu = sum(map(cpu_seconds, pids)) - before
    return Burst(runs=len(runs), answered=answered, first_done=min(ended), all_done=max(ended), cpu_a_run=cpu / len(runs))


def _ended(whole: WholeStack, tenants: Sequence[SampleTenant], runs: Sequence[str], began: float) -> list[float]:
    """When each run was found finished, by one small query for all, past the suite. Its own cost is part of the suite's CPU."""
    parts = (f"SELECT pipeline_logging_id AS id, status FROM {tenant.tenant_id}.x_meta_pipeline_runs" for tenant in tenants)  # noqa: S608
    sql = f"SELECT id, status FROM ({' UNION ALL '.join(parts)}) WHERE status != 'RUNNING'"  # noqa: S608
    found = dict[str, float]()
    while len(found) < len(runs):
        for row in whole.query(sql):
            if row["id"] in runs and row["status"] != "COMPLETED":
                raise RuntimeError(f"run {row['id']} ended {row['status']}")
            if row["id"] in runs:
                found.setdefault(row["id"], time.monotonic() - began)
        if time.monotonic() - began > RUN_SECONDS:
            raise TimeoutError(f"{len(found)} of {len(runs)} runs have ended")
        time.sleep(LOOK_SECONDS)
    return list(found.values())
