"""Flows 1 to 3 through all four services with BigQuery's restrictions: rights, conflicts, lost responses, failing jobs."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from os import environ
from typing import Any

import pytest

from localcloud.rest import Answer
from localcloud.settings import SERVICES, LocalSettings
from localcloud.stack import Stack
from tests.conftest import beside
from tests.support.credentials.samples import new_rsa
from tests.support.executor.billing_export import ACCOUNT, DETAILED, load, many
from tests.support.strict_bigquery import Iam, StrictBigQuery, strict_bigquery
from tests.system.tenants import Suite, Tenant, until

pytestmark = pytest.mark.timeout(1800)

DAYS = int(environ.get("CONVERGENCE_BACKFILL_DAYS", "3"))
"""Backfilled at once. 25 take minutes on a small machine."""
FIRST, ROWS = date(2025, 11, 1), 20
SECONDS = 1500.0
TENANTS_PROJECT = "convergence-tenants"
PATIENT = {"CONVERGENCE_BIGQUERY_DEADLINE_SECONDS": "60", "CONVERGENCE_PEER_DEADLINE_SECONDS": "120", "CONVERGENCE_LEASE_SECONDS": "240"}
PROMPT = {"CONVERGENCE_SETTLE_GATHER_SECONDS": "1", "CONVERGENCE_JOURNAL_GATHER_SECONDS": "1"}
"""How few statements are taken is what `test_queue_drain` looks at."""
BIGQUERYS_WORDS = (
    "dml",
    "transaction",
    "insertall",
    "joberror",
    "backenderror",
    "quota exceeded",
    "streaming buffer",
    "http://",
    "access denied",
)


def account(name: str) -> str:
    return f"{name}@convergence-local.iam.gserviceaccount.com"


def roles(project: str) -> dict[str, dict[str, set[str]]]:
    """What docs/google-cloud.md tells an operator to grant: in the tenants' project the executor has nothing but what it is given in each
    dataset.
    """
    owner, user = {"bigquery.jobUser", "bigquery.dataEditor"}, {"bigquery.jobUser"}
    return {
        account("bootstrap"): {project: {"bigquery.user"}},
        account("auth"): {project: owner},
        account("scheduler"): {project: owner},
        account("credentials"): {project: owner, TENANTS_PROJECT: {"bigquery.user"}},
        account("executor"): {project: user},
    }


def tables(control: str) -> dict[str, dict[str, str]]:
    """Single tables that it tells to grant: what the executor reports for operators."""
    return {account("executor"): {f"{control}.{table}": "bigquery.dataEditor" for table in ("tenant_runs", "platform_events")}}


@pytest.fixture(scope="module")
def strict(emulators: LocalSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Suite, StrictBigQuery]]:
    """The whole suite; each service comes to BigQuery as itself, by the proxy."""
    local = beside(emulators, tmp_path_factory.mktemp("strict") / "state", control_dataset="strict")
    rules = StrictBigQuery(
        upstream=local.address("bigquery"),
        seconds=(0.02, 0.08),
        lose_every=11,
        job_error_every=17,
        poll_error_every=7,
        young_seconds=20.0,
        iam=Iam(roles=roles(local.project), tables=tables(f"{local.project}.{local.control_dataset}")),
    )
    with strict_bigquery(rules):
        common = {
            **PATIENT,
            **PROMPT,
            "CONVERGENCE_TENANT_PROJECT": TENANTS_PROJECT,
            "CONVERGENCE_DATASET_WRITERS": json.dumps([account("executor")]),
            "CONVERGENCE_DATASET_OWNERS": json.dumps([account("credentials")]),
        }
        extra = {name: {**common, "BIGQUERY_EMULATOR_HOST": rules.url_of(account(name))} for name in (*SERVICES, "bootstrap")}
        extra["gateway"] = {"GATEWAY_TIMEOUT_SECONDS": "150"}
        with Stack(local, only=("bootstrap", *SERVICES, "gateway"), auto_restart=False, extra=extra, report=print) as stack:
            yield Suite(local=local, env=stack.env), rules


def answered(answer: Answer) -> dict[str, Any]:
    """The body, of a call that worked."""
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def test_nothing_is_lost_and_nothing_doubled(strict: tuple[Suite, StrictBigQuery]) -> None:
    """Credentials, one run by a call, a backfill of days at once by the queue: each day stands there once, the counters are exact, and no
    caller sees a word of BigQuery's.
    """
    suite, rules = strict
    acme = suite.tenant(new_rsa(), daily_limit=DAYS + 10)
    days = [FIRST + timedelta(days=number) for number in range(DAYS + 1)]
    export = [row for number, day in enumerate(days) for row in many(day, ROWS, seed=number)]
    load(f"http://{suite.local.address('bigquery')}", f"{acme.project}.costs.gcp_billing_export_resource_v1_{ACCOUNT}", export, DETAILED)

    made = answered(acme.set_credentials())
    assert (made["action"], made["dataset_status"]) == ("CREATED", "CREATED")
    first = acme.finished(acme.start(days[0]), seconds=SECONDS)
    assert (first["status"], first.get("error_message", "")) == ("COMPLETED", "")

    ended = backfilled(suite, acme, days[1], days[-1])
    assert Counter((run["state"], run.get("error_message") or "") for run in ended) == {("COMPLETED", ""): DAYS}

    dataset = f"`{TENANTS_PROJECT}`.{acme.tenant_id}"
    found = suite.query(f"SELECT usage_date, COUNT(*) AS n, SUM(cost) AS cost FROM {dataset}.billing_cost_daily GROUP BY 1 ORDER BY 1")
    costs = [sum(row["cost"] for row in export if row["usage_start_time"].date() == day) for day in days]
    assert [(one["usage_date"], one["n"], round(one["cost"], 6)) for one in found] == [
        (day, ROWS, round(cost, 6)) for day, cost in zip(days, costs, strict=True)
    ]
    quota = until(acme.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=SECONDS)
    counted = [quota[f"pipelines_{name}_today"] for name in ("run", "succeeded", "failed")]
    assert counted == [DAYS + 1, DAYS + 1, 0]
    lines = suite.query(f"SELECT action, COUNT(*) AS n FROM {dataset}.x_meta_step_logs GROUP BY 1")
    assert {one["action"]: one["n"] for one in lines}.items() >= {"CREDENTIAL_ADDED": 1}.items()
    told = json.dumps([made, first, ended, quota]).lower()
    assert not [word for word in BIGQUERYS_WORDS if word in told]
    assert rules.refused["accessDenied"] == 0
    assert min(rules.refused[name] for name in ("lost", "jobBackendError", "backendError")) > 0, rules.refused


def backfilled(suite: Suite, acme: Tenant, first: date, last: date) -> list[dict[str, Any]]:
    """The scheduled runs of a backfill of these days, when all have ended."""
    schedules = f"/api/v1/tenants/{acme.tenant_id}/schedules"
    schedule = {"provider": "GCP", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "0 4 * * *", "is_active": True}
    config = answered(acme.rest.call("POST", schedules, schedule))["config_id"]
    answered(acme.rest.call("POST", f"{schedules}/{config}:backfill", {"start_date": str(first), "end_date": str(last)}))

    def runs() -> list[dict[str, Any]]:
        answered(suite.admin.call("POST", "/api/v1/scheduler/process-queue", {"max_runs": DAYS}))
        listed = answered(acme.rest.call("GET", f"/api/v1/tenants/{acme.tenant_id}/scheduled-runs?page_size=100"))
        found: list[dict[str, Any]] = listed["scheduled_runs"]
        return found

    return until(runs, lambda found: bool(found) and all(run["state"] != "PENDING" for run in found), seconds=SECONDS, every=2.0)
