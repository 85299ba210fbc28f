"""Quotas and access through the gateway."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial

import pytest

from localcloud.rest import Answer
from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite, Tenant, until

COST_DAY = date(2025, 11, 17)
EMPTY_PROJECT = "no-billing-export"  # runs fail at once for want of an export, and admission is all that is looked at here


def at_once(tenant: Tenant, calls: int) -> list[Answer]:
    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(lambda _: tenant.start("2025-11-17"), range(calls)))


def reasons(answers: list[Answer]) -> dict[tuple[int, str], int]:
    kinds = [(answer.status, answer.reason) for answer in answers]
    return {kind: kinds.count(kind) for kind in kinds}


def idle(tenant: Tenant) -> dict[str, int]:
    return until(tenant.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=60)


def test_many_at_once_at_a_daily_limit(running: Suite, private_key: Rsa) -> None:
    """What a caller sees of it; `test_replicas` has sixty at once, over two processes of each."""
    tenant = running.tenant(private_key, project=EMPTY_PROJECT, daily_limit=10)
    tenant.set_credentials()
    before = running.jobs("auth", "reserve")

    answers = at_once(tenant, 24)

    assert reasons(answers) == {(200, ""): 10, (429, "DAILY_LIMIT_REACHED"): 14}
    assert running.jobs("auth", "reserve") - before <= 12
    quota = until(tenant.quota, lambda quota: quota["pipelines_failed_today"] == 10, seconds=60)
    assert (quota["pipelines_run_today"], quota["concurrent_pipelines_running"]) == (10, 0)
    refused = next(answer for answer in answers if answer.status == 429)
    [wait] = [detail["retry_delay"] for detail in refused.body["details"] if detail["@type"].endswith("RetryInfo")]
    assert int(refused.headers["Retry-After"]) == math.ceil(float(wait.removesuffix("s")))
    assert "grpc-retry-pushback-ms" not in refused.headers


def test_calls_a_minute(running: Suite, private_key: Rsa) -> None:
    """Every answer says what is left, also to a browser; another process counts for itself, and another tenant does not notice."""
    tenant, other = running.tenant(private_key, requests_per_minute=2), running.tenant(private_key)
    path = f"/api/v1/tenants/{tenant.tenant_id}/quota"
    answers = [tenant.rest.call("GET", path)]
    while answers[-1].status == 200 and len(answers) < 10:
        answers.append(tenant.rest.call("GET", path))
    first, refused = answers[0], answers[-1]
    assert (first.headers["RateLimit-Policy"], first.headers["RateLimit"]) == ('"default";q=2;w=60', '"default";r=1;t=30')
    assert (refused.status, refused.reason) == (429, "RATE_LIMITED")
    assert refused.headers["RateLimit-Policy"] == '"default";q=2;w=60'
    assert refused.headers["RateLimit"].startswith('"default";r=0;t=')
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    runs = tenant.rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}")
    assert (runs.status, runs.headers["RateLimit"]) == (200, '"default";r=1;t=30')
    assert other.quota()["pipelines_run_today"] == 0


@pytest.mark.parametrize(
    ("plan", "reason", "admitted"),
    [({"monthly_limit": 3}, "MONTHLY_LIMIT_REACHED", 3), ({"concurrent_limit": 2}, "CONCURRENT_LIMIT_REACHED", 2)],
)
def test_other_limits(running: Suite, private_key: Rsa, plan: dict[str, int], reason: str, admitted: int) -> None:
    tenant = running.tenant(private_key, project=EMPTY_PROJECT, **plan)
    tenant.set_credentials()
    answers = at_once(tenant, 6)
    granted = reasons(answers).get((200, ""), 0)
    # Slots come free again while the calls come in; units do not.
    assert granted == admitted or (reason.startswith("CONCURRENT") and admitted <= granted < 6)
    assert (429, reason) in reasons(answers)
    idle(tenant)


def test_no_export_fails_the_run_with_what_to_do(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key, project=EMPTY_PROJECT)
    tenant.set_credentials()
    run = tenant.finished(tenant.start("2025-11-17"))
    assert run["status"] == "FAILED"
    assert "billing export" in run["error_message"]


def test_without_credentials_there_is_something_to_do_first(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    answer = tenant.start("2025-11-17")
    assert (answer.status, answer.reason) == (400, "CREDENTIALS_MISSING")
    assert tenant.quota()["pipelines_run_today"] == 0


@pytest.mark.parametrize(
    ("plan", "status", "reason"),
    [({"status": "SUSPENDED"}, 403, "TENANT_NOT_ACTIVE"), ({"subscription_status": "CANCELLED"}, 403, "SUBSCRIPTION_NOT_ACTIVE")],
)
def test_who_is_not_active_is_refused_everywhere(running: Suite, private_key: Rsa, plan: dict[str, str], status: int, reason: str) -> None:
    tenant = running.tenant(private_key, **plan)
    for answer in (tenant.start("2025-11-17"), tenant.set_credentials()):
        assert (answer.status, answer.reason) == (status, reason)


EVERYWHERE = ("tenants/{}/quota", "pipelines/runs/{}", "tenants/{}/credentials", "tenants/{}/schedules")
"""Auth, executor, credentials, scheduler: each remembers keys for itself."""


def statuses(tenant: Tenant) -> list[tuple[int, str]]:
    answers = [tenant.rest.call("GET", f"/api/v1/{path.format(tenant.tenant_id)}") for path in EVERYWHERE]
    return [(answer.status, answer.reason) for answer in answers]


WORKS, DEAD = [(200, "")] * 4, [(401, "API_KEY_INVALID")] * 4


def test_a_revoked_key_is_dead_everywhere_within_five_seconds(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    assert statuses(tenant) == WORKS
    keys = f"/api/v1/tenants/{tenant.tenant_id}/api-keys"
    [key] = running.admin.call("GET", keys).body["api_keys"]
    revoked = running.admin.call("DELETE", f"{keys}/{key['api_key_id']}")
    assert (revoked.status, revoked.body["api_key"]["is_active"]) == (200, False)
    until(partial(statuses, tenant), lambda found: found == DEAD, seconds=5)


def test_a_rotated_key_works_everywhere_until_its_stated_end_and_not_longer(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    keys = f"/api/v1/tenants/{tenant.tenant_id}/api-keys"
    [key] = running.admin.call("GET", keys).body["api_keys"]
    rotated = running.admin.call("POST", f"{keys}/{key['api_key_id']}:rotate", {"overlap_seconds": 4})
    assert rotated.status == 200, rotated.body
    ends = datetime.fromisoformat(rotated.body["rotated_api_key"]["expires_at"])
    renewed = replace(tenant, rest=tenant.rest.but(X_API_Key=rotated.body["api_key"]))

    while (began := datetime.now(UTC)) < ends:
        found = statuses(tenant)
        # What was asked before the end and answered after it may have been either.
        assert found == WORKS or datetime.now(UTC) >= ends > began
        time.sleep(0.5)
    assert statuses(tenant) == DEAD
    assert statuses(renewed) == WORKS


def test_another_tenants_url_is_refused(running: Suite, private_key: Rsa) -> None:
    mine, theirs = running.tenant(private_key), running.tenant(private_key)
    for method, path in (("GET", "tenants/{}/quota"), ("GET", "pipelines/runs/{}"), ("POST", "pipelines/run/{}/gcp/cost/billing")):
        answer = mine.rest.call(method, "/api/v1/" + path.format(theirs.tenant_id), {} if method == "POST" else None)
        assert (answer.status, answer.reason) == (403, "TENANT_MISMATCH")


def test_a_key_with_scopes_may_do_just_that(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    issued = running.admin.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/api-keys", {"scopes": ["runs:read"]})
    reader = tenant.rest.but(X_API_Key=issued.body["api_key"])
    assert reader.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}").status == 200
    assert reader.call("GET", f"/api/v1/tenants/{tenant.tenant_id}/quota").status == 200
    for path in (f"pipelines/run/{tenant.tenant_id}/gcp/cost/billing", f"tenants/{tenant.tenant_id}/credentials"):
        refused = reader.call("POST", f"/api/v1/{path}", tenant.credentials)
        assert (refused.status, refused.reason) == (403, "SCOPE_MISSING")


def test_what_runs_have_cost_is_shown_summed_and_limited(running: Suite, private_key: Rsa) -> None:
    """By run, by day, by tenant; over the monthly limit no run begins. The emulator bills no queries: what is read has a price."""
    tenant = running.tenant(private_key)
    table = f"{tenant.project}.b.gcp_billing_export_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], table, many(COST_DAY, 50, seed=3), STANDARD)
    tenant.set_credentials()
    started = tenant.start(COST_DAY)
    # What a run has cost is added a moment after its end.
    run = until(partial(tenant.finished, started), lambda run: "cost_usd" in run, seconds=30)
    assert (run["status"], run["bytes_billed"]) == ("COMPLETED", "0")
    assert int(run["bytes_read"]) > 0
    assert math.isclose(run["cost_usd"], int(run["bytes_read"]) / 2**40 * 1.1)
    [extract] = [step for step in run["steps"] if step["step_id"] == "extract" and step["action"] == "STEP_COMPLETED"]
    assert extract["metadata"]["cost"]["bytes_read"] == int(run["bytes_read"])

    until(tenant.quota, lambda quota: quota["cost_usd_month"] > 0, seconds=60)
    path = f"/api/v1/tenants/{tenant.tenant_id}"
    # It is summed over what the executors report, some seconds after the end.
    answer = until(lambda: tenant.rest.call("GET", f"{path}/usage"), lambda found: found.body["total"]["runs"] > 0, seconds=60)
    used = {name: run[name] for name in ("bytes_billed", "bytes_read", "slot_ms", "cost_usd")} | {"runs": 1}
    assert (answer.status, answer.body["total"]) == (200, used)
    assert [day["usage"] for day in answer.body["days"]] == [used]
    day = answer.body["days"][0]["usage_date"]
    pages = [running.admin.call("GET", f"/api/v1/usage?start_date={day}&end_date={day}&page_size=200")]
    while token := pages[-1].body["next_page_token"]:
        pages.append(running.admin.call("GET", f"/api/v1/usage?start_date={day}&end_date={day}&page_size=200&page_token={token}"))
    assert [one["usage"] for page in pages for one in page.body["tenants"] if one["tenant_id"] == tenant.tenant_id] == [used]
    assert pages[0].body["total"]["runs"] >= 1
    refused = [tenant.rest.call("GET", path) for path in ("/api/v1/usage", f"{path}/usage?start_date=soon")]
    assert [(one.status, one.reason) for one in refused] == [(401, "ADMIN_KEY_MISSING"), (400, "BAD_FIELD")]

    limit = {"company_name": "Acme", "monthly_cost_limit_usd": run["cost_usd"] / 2}
    assert running.admin.call("PUT", path, limit).body["tenant"]["monthly_cost_limit_usd"] == limit["monthly_cost_limit_usd"]
    over = tenant.start(COST_DAY)
    assert (over.status, over.reason) == (429, "MONTHLY_COST_LIMIT_REACHED")
    assert int(over.headers["Retry-After"]) > 0
    quota = tenant.quota()
    assert (quota["refusing_limit"], quota["remaining_cost_usd_this_month"]) == ("MONTHLY_COST", 0)
    bad = running.admin.call("PUT", path, limit | {"monthly_cost_limit_usd": -1})
    assert (bad.status, bad.reason) == (400, "BAD_FIELD")
    assert running.admin.call("PUT", path, limit | {"monthly_cost_limit_usd": 0}).status == 200
    assert "monthly_cost_limit_usd" not in tenant.quota()
