"""What callers do: tenants with flows 1 and 2 and their schedules, Cloud Scheduler with flow 3. What they are answered is `Observed`."""

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import requests
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

from localcloud.rest import Answer, Rest
from tests.support.chaos.secrets import Planted
from tests.support.chaos.world import World
from tests.support.invariants import Observed, Violation
from tests.system.tenants import Tenant

BILLING = "gcp/cost/billing"
YEARLY = "0 0 1 1 *"
"""Fires by itself at New Year only; the tests say when it is due."""
MAY_BE_DOWN = {503, 504}
MOST_SCHEDULES = 6
"""Of a tenant."""


@dataclass(kw_only=True)
class Member:
    """A tenant that acts."""

    tenant: Tenant
    days: Sequence[date]
    """Those of its export."""
    schedules: list[str] = field(default_factory=list)
    """Schedules that are made due, or deleted."""
    keys: dict[str, date] = field(default_factory=dict)
    """Idempotency keys that it has used, and for which day."""
    runs: list[str] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)
    """It sets credentials one after the other."""

    @property
    def name(self) -> str:
        return self.tenant.tenant_id


@dataclass(kw_only=True)
class Callers:
    """All tenants and Cloud Scheduler, and what they have been answered."""

    world: World
    members: Sequence[Member]
    planted: Planted
    observed: Observed = field(default_factory=Observed)
    answers: Counter[str] = field(default_factory=Counter)
    """`action -> status and reason`, or `no answer`."""
    broken: list[Violation] = field(default_factory=list)
    """Answers that no fault excuses."""
    _guard: threading.RLock = field(default_factory=threading.RLock)
    _moments: int = 0

    def act(self, rng: random.Random) -> None:
        """One action of somebody."""
        actions, weights = zip(*ACTIONS.items(), strict=True)
        rng.choices(actions, weights)[0](self, rng.choice(self.members), rng)

    def ask(self, action: str, rest: Rest, method: str, path: str, body: object | None = None) -> Answer | None:
        """One call; None: it got no answer."""
        try:
            answer = rest.call(method, path, body)
        except requests.RequestException:
            answer = None
        said = f"{answer.status} {answer.reason}".strip() if answer else "no answer"
        with self._guard:
            self.answers[f"{action} -> {said}"] += 1
            if answer and answer.status >= 500 and answer.status not in MAY_BE_DOWN:
                what = f"{answer.status}: {str(answer.body)[:400]}"
                self.broken.append(Violation(invariant="answers.no_5xx", where=f"{method} {path}", what=what))
        return answer

    def start(self, member: Member, day: date, key: str | None = None, *, until: date | None = None) -> None:
        """Flow 2, for a day, or for all days up to another one."""
        rest = member.tenant.rest.but(Idempotency_Key=key) if key else member.tenant.rest
        answer = self.ask(
            "run with a key" if key else "run", rest, "POST", f"/api/v1/pipelines/run/{member.name}/{BILLING}", {"date": str(day)}
        )
        with self._guard:
            if answer and answer.status == 200:
                identity = answer.body["pipeline_logging_id"]
                member.runs.append(identity)
                self.observed.started.setdefault(member.name, set()).add(identity)
                if key:
                    self.observed.by_key.setdefault((member.name, key), set()).add(identity)
            elif answer is None or answer.status in MAY_BE_DOWN:
                missed = self.observed.unanswered_starts
                missed[member.name] = missed.get(member.name, 0) + 1

    def job(self, name: str, body: Mapping[str, Any] | None = None) -> Answer | None:
        """Flow 3: Cloud Scheduler fires a job."""
        return self.ask(name, self.world.suite.admin, "POST", f"/api/v1/scheduler/{name}", body or {})

    def set_credentials(self, member: Member, rng: random.Random) -> None:
        """Flow 1, of any provider, again and again with another secret."""
        provider, body, secret = self.planted.credentials(member.tenant, rng)
        with member.turn:
            answer = self.ask(f"credentials {provider}", member.tenant.rest, "POST", f"/api/v1/tenants/{member.name}/credentials", body)
            self.planted.sent(self.observed, (member.name, provider), secret, stored=answer is not None and answer.status == 200)

    def make_schedule(self, member: Member, rng: random.Random) -> None:
        """A tenant that has enough of them deletes one."""
        path = f"/api/v1/tenants/{member.name}/schedules"
        if len(member.schedules) >= MOST_SCHEDULES:
            config_id = member.schedules.pop(rng.randrange(len(member.schedules)))
            with self._guard:
                self.observed.deletions.setdefault(member.name, set()).add(config_id)
            self.ask("delete schedule", member.tenant.rest, "DELETE", f"{path}/{config_id}")
            return
        schedule = {"provider": "GCP", "domain": "cost", "pipeline_template": "billing", "schedule_cron": YEARLY, "max_retries": 8}
        schedule |= {"parameters": {"date": str(rng.choice(member.days))}, "priority": rng.randint(1, 50)}
        answer = self.ask("make schedule", member.tenant.rest, "POST", path, schedule)
        if answer and answer.status == 200:
            with self._guard:
                member.schedules.append(answer.body["config_id"])
                self.observed.schedules.setdefault(member.name, set()).add(answer.body["config_id"])

    def make_due(self, member: Member, rng: random.Random) -> None:
        """The moment of a schedule comes: each time another one in the past, and only if it is not due already."""
        if not member.schedules:
            return
        config_id = rng.choice(member.schedules)
        with self._guard:
            self._moments += 1
            moment = self.world.now().replace(microsecond=0) - timedelta(minutes=2 * self._moments)
        table = f"{self.world.stack.settings.control_dataset}.tenant_pipeline_configs"
        sql = f"UPDATE {table} SET next_run_time = @due WHERE config_id = @id AND next_run_time > @now"
        values = [bigquery.ScalarQueryParameter("id", "STRING", config_id)]
        moments = {"due": moment, "now": self.world.now()}
        values += [bigquery.ScalarQueryParameter(name, "TIMESTAMP", value) for name, value in moments.items()]
        # Asked without the proxy; the emulator itself may be down: then it is not due, or nothing counts on it.
        with suppress(GoogleAPICallError, requests.RequestException), self.world.suite.warehouse as client:
            config = bigquery.QueryJobConfig(query_parameters=values)
            rows = client.query_and_wait(sql, job_config=config, retry=None, job_retry=None, api_timeout=5, wait_timeout=5)
            if rows.num_dml_affected_rows:
                with self._guard:
                    self.observed.due.add((config_id, moment))

    def backfill(self, member: Member, rng: random.Random) -> None:
        """One or two days of a schedule."""
        if not member.schedules:
            return
        config_id, (first, *_, last) = rng.choice(member.schedules), sorted(rng.choices(member.days, k=2))
        path = f"/api/v1/tenants/{member.name}/schedules/{config_id}:backfill"
        answer = self.ask("backfill", member.tenant.rest, "POST", path, {"start_date": str(first), "end_date": str(last)})
        if answer and answer.status == 200:
            days = {first + timedelta(days=number) for number in range((last - first).days + 1)}
            with self._guard:
                self.observed.backfilled |= {(config_id, day) for day in days}

    def cancel(self, member: Member, rng: random.Random) -> None:
        """One of the latest runs."""
        if not member.runs:
            return
        identity = rng.choice(member.runs[-3:])
        answer = self.ask("cancel", member.tenant.rest, "POST", f"/api/v1/pipelines/runs/{member.name}/{identity}:cancel", {})
        if answer and answer.status == 200:
            with self._guard:
                self.observed.cancelled.setdefault(member.name, set()).add(identity)

    def retry(self, member: Member, rng: random.Random) -> None:
        """A scheduled run that has failed for good, if there is one."""
        path = f"/api/v1/tenants/{member.name}/scheduled-runs"
        listed = self.ask("list scheduled runs", member.tenant.rest, "GET", f"{path}?state=FAILED")
        runs = listed.body["scheduled_runs"] if listed and listed.status == 200 else []
        if done := [run["run_id"] for run in runs if "queue_state" not in run]:
            self.ask("retry", member.tenant.rest, "POST", f"{path}/{rng.choice(done)}:retry", {})

    def look(self, member: Member, rng: random.Random) -> None:
        """Reads something."""
        path = rng.choice(
            ["tenants/{}/quota", "pipelines/runs/{}", "tenants/{}/credentials", "tenants/{}/schedules", "pipelines/templates"]
        )
        self.ask("read", member.tenant.rest, "GET", f"/api/v1/{path.format(member.name)}")

    def run(self, member: Member, rng: random.Random) -> None:
        """Without a key."""
        self.start(member, rng.choice(member.days))

    def run_with_key(self, member: Member, rng: random.Random) -> None:
        """A new key, or one that was used before: then it means the same run."""
        key = f"order-{rng.randrange(4 + len(member.keys))}"
        self.start(member, member.keys.setdefault(key, rng.choice(member.days)), key)

    def trigger(self, member: Member, rng: random.Random) -> None:
        self.job("trigger")

    def process_queue(self, member: Member, rng: random.Random) -> None:
        self.job("process-queue", {"max_runs": rng.randint(1, 3)})

    def reset(self, member: Member, rng: random.Random) -> None:
        self.job("reset-daily-quotas")

    def recovered_after(self, seconds: float) -> float:
        """Seconds until a tenant's call and an operator's are answered with 200 again. Raises TimeoutError."""
        began, member = time.monotonic(), self.members[0]
        asked: Sequence[Callable[[], Answer | None]] = (
            lambda: self.ask("probe", member.tenant.rest, "GET", f"/api/v1/tenants/{member.name}/quota"),
            lambda: self.ask("probe", member.tenant.rest, "GET", f"/api/v1/pipelines/runs/{member.name}?page_size=1"),
            lambda: self.ask("probe", member.tenant.rest, "GET", f"/api/v1/tenants/{member.name}/credentials"),
            lambda: self.ask("probe", self.world.suite.admin, "GET", "/api/v1/scheduler/status"),
        )
        for ask in asked:
            while (answer := ask()) is None or answer.status != 200:
                if time.monotonic() - began > seconds:
                    raise TimeoutError(f"not back after {seconds:g} s: {answer}")
                time.sleep(0.2)
        return time.monotonic() - began


ACTIONS: Mapping[Callable[[Callers, Member, random.Random], None], float] = {
    Callers.run: 3,
    Callers.run_with_key: 4,
    Callers.set_credentials: 3,
    Callers.make_schedule: 2,
    Callers.make_due: 4,
    Callers.trigger: 3,
    Callers.process_queue: 7,
    Callers.reset: 0.5,
    Callers.backfill: 0.5,
    Callers.cancel: 1,
    Callers.retry: 1,
    Callers.look: 4,
}
"""How often each is done, beside the others."""


def statuses(answers: Counter[str]) -> Mapping[str, Counter[str]]:
    """By action."""
    found = defaultdict[str, Counter[str]](Counter)
    for entry, count in answers.items():
        action, _, said = entry.partition(" -> ")
        found[action][said] += count
    return found
