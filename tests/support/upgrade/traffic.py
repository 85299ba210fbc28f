"""Calls of tenants, and the jobs, through any number of gateways at once; and what of it was lost, refused or doubled."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import requests
from google.cloud import bigquery

from localcloud.rest import Rest

FIRST_CALLED, FIRST_FILLED = date(2025, 10, 1), date(2025, 11, 1)
ROWS = 20
"""Rows of each day in the tenants' exports."""
EVERY = 0.5
RUN_EVERY = 12


@dataclass(kw_only=True)
class Tenant:
    """A tenant, and what it was answered."""

    tenant_id: str
    project: str
    rest: Rest
    """Without a URL: that of a gateway is put in at each call."""
    started: list[str] = field(default_factory=list)
    """Runs whose call was answered with 200."""
    filled: int = 0
    """Days that were queued."""


@dataclass(kw_only=True)
class Seen:
    """Answers by gateway and status, and those that were no success."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)


class Traffic:
    """While its context is open, each tenant calls each gateway, and the jobs come to each gateway."""

    def __init__(self, tenants: Sequence[Tenant]) -> None:
        self.seen = Seen()
        self._tenants = tenants
        self._stops: dict[str, threading.Event] = {}
        self._threads: dict[str, list[threading.Thread]] = {}
        self._days = (FIRST_CALLED + timedelta(days=number) for number in range(31))
        self._lock = threading.Lock()

    def begin(self, name: str, admin: Rest, paths: Sequence[str] | None = None) -> None:
        """Through this gateway, too. `paths`: of a tenant, what its calls get, and they start no runs; else all."""
        stop = self._stops[name] = threading.Event()
        works: list[Callable[[], None]] = [lambda: self._jobs(name, admin, stop)]
        works += [lambda tenant=tenant: self._calls(name, admin.url, tenant, paths, stop) for tenant in self._tenants]  # type: ignore[misc]
        self._threads[name] = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads[name]:
            thread.start()

    def end(self, name: str) -> None:
        """No longer through this one; returns when its last calls are answered."""
        self._stops[name].set()
        for thread in self._threads[name]:
            thread.join()

    def call(self, name: str, rest: Rest, method: str, path: str, body: object | None = None) -> Any:
        """One call, counted; its body if it succeeded."""
        try:
            answer = rest.call(method, path, body)
        except requests.RequestException as error:
            status, said = 0, repr(error)
        else:
            status, said = answer.status, str(answer.body)
        with self._lock:
            self.seen.answers[name, status] += 1
            if status != requests.codes.ok:
                self.seen.refused.append(f"{name}: {method} {path}: {status} {said[:200]}")
        return answer.body if status == requests.codes.ok else None

    def _jobs(self, name: str, admin: Rest, stop: threading.Event) -> None:
        while not stop.wait(2.0):
            self.call(name, admin, "POST", "/api/v1/scheduler/trigger", {})
            self.call(name, admin, "POST", "/api/v1/scheduler/process-queue", {"max_runs": 2})

    def _calls(self, name: str, url: str, tenant: Tenant, only: Sequence[str] | None, stop: threading.Event) -> None:
        rest, own = Rest(url=url, headers=tenant.rest.headers), f"/api/v1/tenants/{tenant.tenant_id}"
        paths = [f"{own}/quota", f"/api/v1/pipelines/runs/{tenant.tenant_id}", f"{own}/schedules", f"{own}/credentials"]
        if only is not None:
            paths = [f"{own}/{path}" for path in only]
        number = 0
        while not stop.wait(EVERY):
            number += 1
            self.call(name, rest, "GET", paths[number % len(paths)])
            if only is None and number % RUN_EVERY == 1:
                with self._lock:
                    day = next(self._days, None)
                if day is None:
                    continue
                body = self.call(name, rest, "POST", f"/api/v1/pipelines/run/{tenant.tenant_id}/gcp/cost/billing", {"date": str(day)})
                if body:
                    tenant.started.append(body["pipeline_logging_id"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """Of one tenant, when all has ended."""

    called: Counter[str]
    """Runs that calls have started, by their end; `missing` have no record."""
    failures: Counter[str]
    """Those that FAILED, by their error."""
    scheduled: Counter[str]
    """Queued days, by their end."""
    doubled: list[str]
    """What was done twice."""
    quota: dict[str, int]


def unended(client: bigquery.Client, tenants: Sequence[Tenant]) -> int:
    """How many runs are queued or RUNNING."""
    queued = next(iter(client.query_and_wait("SELECT COUNT(*) AS n FROM tenants.pipeline_execution_queue"))).n
    running = "SELECT COUNT(*) AS n FROM {}.x_meta_pipeline_runs WHERE status = 'RUNNING'"
    return int(queued) + sum(int(next(iter(client.query_and_wait(running.format(one.tenant_id)))).n) for one in tenants)


def count(client: bigquery.Client, tenant: Tenant) -> Count:
    """What has become of it all, from the tables."""

    def rows(sql: str) -> list[dict[str, Any]]:
        return [dict(row.items()) for row in client.query_and_wait(sql.format(tenant=tenant.tenant_id))]

    runs = {row["pipeline_logging_id"]: row for row in rows("SELECT * FROM {tenant}.x_meta_pipeline_runs")}
    scheduled = rows("SELECT state FROM tenants.scheduled_pipeline_runs WHERE tenant_id = '{tenant}'")
    days = rows("SELECT usage_date, COUNT(*) AS n FROM {tenant}.billing_cost_daily GROUP BY 1 HAVING n != " + str(ROWS))
    twice = rows(
        "SELECT run_id, COUNT(*) AS n FROM {tenant}.x_meta_pipeline_runs WHERE status = 'COMPLETED' AND run_id IS NOT NULL"
        " GROUP BY 1 HAVING n > 1"
    )
    [quota] = rows(
        "SELECT SUM(pipelines_run_today) AS run, SUM(pipelines_succeeded_today) AS succeeded, SUM(pipelines_failed_today) AS failed,"
        " SUM(concurrent_pipelines_running) AS live FROM tenants.tenant_usage_quotas WHERE tenant_id = '{tenant}'"
    )
    return Count(
        called=Counter(runs[one]["status"] if one in runs else "missing" for one in tenant.started),
        failures=Counter(runs[one]["error_message"] for one in tenant.started if one in runs and runs[one]["status"] == "FAILED"),
        scheduled=Counter(row["state"] for row in scheduled),
        doubled=[str(row) for row in (*days, *twice)],
        quota={name: int(value or 0) for name, value in quota.items()},
    )


def wait_for_end(client: bigquery.Client, tenants: Sequence[Tenant], *, seconds: float) -> int:
    """Returns when nothing is queued or RUNNING, or the time is over: how many runs have not ended."""
    until = time.monotonic() + seconds
    while (left := unended(client, tenants)) and time.monotonic() < until:
        time.sleep(2.0)
    return left
