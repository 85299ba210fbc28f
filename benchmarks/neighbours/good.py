"""The tenant that is measured: what it calls, and how long each answer takes."""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import requests

from benchmarks.crowd import Member, make_due
from benchmarks.whole_stack import OK, WholeStack
from localcloud.demo.demo_flow import emulated_warehouse
from localcloud.processes.environment import emulator_environment

KEYLESS_EVERY: Final = 0.25
QUOTA_EVERY: Final = 0.5
RUN_EVERY: Final = 2.0
TICK_EVERY: Final = 5.0
"""Seconds between calls of process-queue, which takes one run. Production calls every five minutes."""
DUE: Final = 4
"""Scheduled runs in a phase."""
TIMEOUT: Final = 120.0
UNAUTHENTICATED: Final = 401
BARE_EVERY: Final = 1.0
KEYLESS, QUOTA, RUN, WORK = "a keyless 401", "a quota call", "RunPipeline", "from RunPipeline's answer to the run's first step"
TICK, NO_TICK = "a call of process-queue that claims a run", "one that finds none"
BARE = "a statement that goes past the suite"
_BARE: Final = "SELECT COUNT(*) FROM {}.tenant_subscriptions"
_FIRST_STEPS: Final = """
SELECT r.pipeline_logging_id AS id, ANY_VALUE(r.started_at) AS admitted, MIN(s.timestamp) AS began
FROM {0}.x_meta_pipeline_runs AS r
JOIN {0}.x_meta_step_logs AS s ON s.pipeline_logging_id = r.pipeline_logging_id
WHERE s.action = 'STEP_STARTED'
GROUP BY r.pipeline_logging_id
"""


@dataclass(kw_only=True)
class Measured:
    """What the good tenant got in one phase."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """By what was called."""
    failures: list[str] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)
    """For each scheduled run: the calls of process-queue from when it is its tenant's next one up to its claim."""
    claims: list[str] = field(default_factory=list)
    """What those calls could not do, e.g. 503."""
    runs: list[str] = field(default_factory=list)
    """The ids of those started by RunPipeline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Good:
    """Calls as one tenant, from the address that all share."""

    whole: WholeStack
    member: Member

    def measure(self, seconds: float) -> Measured:
        """Calls for so long; each kind of call in a thread of its own, on one connection."""
        measured, until = Measured(), time.monotonic() + seconds
        lock, url, tenant = threading.Lock(), self.whole.stack.env["GATEWAY_URL"], self.member.tenant_id
        key = {"x-api-key": self.member.api_key}

        def loop(what: str, every: float, expected: int, call: Callable[[requests.Session], requests.Response]) -> None:
            with requests.Session() as session:
                due = time.monotonic()
                while due < until:
                    time.sleep(max(0.0, due - time.monotonic()))
                    began = time.monotonic()
                    answer = call(session)
                    took = time.monotonic() - began
                    with lock:
                        if answer.status_code == expected:
                            measured.seconds[what].append(took)
                            measured.runs += [answer.json()["pipeline_logging_id"]] if what == RUN else []
                        else:
                            measured.failures.append(f"{what}: {answer.status_code} {answer.text[:200]}")
                    due = max(due + every, time.monotonic())

        keyless = f"{url}/api/v1/tenants/{tenant}/schedules"
        quota, run = f"{url}/api/v1/tenants/{tenant}/quota", f"{url}/api/v1/pipelines/run/{tenant}/gcp/cost/tiny"
        with ThreadPoolExecutor(5) as pool:
            loops = [
                pool.submit(
                    loop,
                    KEYLESS,
                    KEYLESS_EVERY,
                    UNAUTHENTICATED,
                    lambda s: s.get(keyless, timeout=TIMEOUT),
                ),
                pool.submit(loop, QUOTA, QUOTA_EVERY, OK, lambda s: s.get(quota, headers=key, timeout=TIMEOUT)),
                pool.submit(loop, RUN, RUN_EVERY, OK, lambda s: s.post(run, headers=key, json={}, timeout=TIMEOUT)),
                pool.submit(self._claims, measured, until),
                pool.submit(self._statements, measured, until),
            ]
            for one in loops:
                one.result()
        measured.seconds[WORK] = self._waits(measured.runs)
        return measured

    def _claims(self, measured: Measured, until: float) -> None:
        """`DUE` schedules are due, the trigger queues them, and process-queue is called, as long as the others call and until all runs of
        them are claimed.
        """
        asyncio.run(make_due([self.member.tenant_id], DUE, self.whole.settings))
        self._admin(measured, "/api/v1/scheduler/trigger")
        ticks = 0
        while (began := time.monotonic()) < until or len(measured.ticks) < DUE:
            body = self._admin(measured, "/api/v1/scheduler/process-queue")
            claimed = bool(body.get("runs"))
            measured.seconds[TICK if claimed else NO_TICK].append(time.monotonic() - began)
            ticks += 1
            if any(run["tenant_id"] == self.member.tenant_id for run in body.get("runs", [])):
                measured.ticks.append(ticks)
                ticks = 0
            if began > until + TIMEOUT:
                measured.failures.append(f"only {len(measured.ticks)} scheduled runs of {DUE} were claimed")
                return
            time.sleep(max(0.0, began + TICK_EVERY - time.monotonic()))

    def _statements(self, measured: Measured, until: float) -> None:
        """Statements of ours, without the suite: what becomes slower here is the emulator, for which all processes share the machine."""
        host = emulator_environment(self.whole.local)["BIGQUERY_EMULATOR_HOST"]
        with emulated_warehouse(host, self.whole.local.project) as client:
            while (began := time.monotonic()) < until:
                client.query_and_wait(_BARE.format(self.whole.local.control_dataset))
                measured.seconds[BARE].append(time.monotonic() - began)
                time.sleep(max(0.0, began + BARE_EVERY - time.monotonic()))

    def _admin(self, measured: Measured, path: str) -> dict[str, Any]:
        answer = self.whole.admin.call("POST", path, {})
        if answer.status != OK:
            measured.claims.append(f"{path} {answer.status} {answer.reason}")
            return {}
        body: dict[str, Any] = answer.body
        return body

    def _waits(self, runs: list[str]) -> list[float]:
        """How long each of these runs waited in the executor, after it was admitted, until its first step began."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            begun = self.whole.query(_FIRST_STEPS.format(self.member.tenant_id))
            found = {row["id"]: (row["began"] - row["admitted"]).total_seconds() for row in begun}
            if all(run in found for run in runs) or time.monotonic() > deadline:
                return [found[run] for run in runs if run in found]
            time.sleep(1)


def seconds_to_next_step(ageing_seconds: int) -> float:
    """Until the next boundary on the clock at which waiting runs age."""
    return ageing_seconds - datetime.now(UTC).timestamp() % ageing_seconds
