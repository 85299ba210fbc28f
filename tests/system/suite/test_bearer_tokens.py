"""`Authorization: Bearer` through the gateway: jobs by Google's identity tokens, browsers by session tokens, at all four services."""

import http.client
import time
from dataclasses import replace

import pytest

from localcloud.cloud_scheduler.google_accounts import GoogleAccounts
from localcloud.cloud_scheduler.jobs import Job, load_jobs
from localcloud.cloud_scheduler.scheduler import fire
from localcloud.rest import Answer, Rest
from localcloud.settings import SERVICES
from services.platform.access.sessions.shape import AUDIENCE
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant, until

REVOKED_WITHIN = 5.0  # seconds


@pytest.fixture(scope="module")
def jobs(running: Suite) -> list[Job]:
    """Those of the file, with tokens instead of keys, and without patience."""
    environment = {"GATEWAY_URL": running.env["GATEWAY_URL"], "GOOGLE_CLOUD_PROJECT": running.local.project, "SCHEDULER_LOCATION": "local"}
    found = load_jobs(environment, account=running.local.scheduler_account)
    return [replace(job, retry=replace(job.retry, count=0)) for job in found]


def test_every_job_calls_by_its_token_alone(accounts: GoogleAccounts, jobs: list[Job]) -> None:
    assert [job.name for job in jobs if not fire(job, accounts)] == []
    assert len(jobs) == 4
    assert not [job.name for job in jobs if "X-Admin-Key" in job.headers]
    assert not fire(jobs[0])


def test_a_token_of_another_account_audience_or_purpose_starts_nothing(running: Suite, accounts: GoogleAccounts) -> None:
    account, audience = running.local.scheduler_account, running.env["GATEWAY_URL"]

    def refusal(email: str, audience: str, path: str) -> tuple[int, str]:
        token = accounts.identity_token(email, audience)
        answer = running.anyone.but(Authorization=f"Bearer {token}").call("POST", path, {})
        assert token not in str(answer.body)
        return answer.status, answer.reason

    assert refusal("other@example.com", audience, "/api/v1/scheduler/trigger") == (403, "ADMIN_ROLE_DENIED")
    assert refusal(account, audience + "/", "/api/v1/scheduler/trigger") == (401, "TOKEN_INVALID")
    assert refusal(account, AUDIENCE, "/api/v1/scheduler/trigger") == (401, "TOKEN_INVALID")
    assert refusal(account, audience, "/api/v1/tenants/acme/api-keys") == (403, "ADMIN_ROLE_DENIED")
    assert refusal(account, audience, "/api/v1/tenants/acme/session-tokens") == (401, "TOKEN_INVALID")


def session(tenant: Tenant, **fields: object) -> Answer:
    return tenant.rest.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/session-tokens", fields)


def at_each_service(tenant: Tenant, browser: Rest) -> list[int]:
    paths = (f"tenants/{tenant.tenant_id}/quota", f"tenants/{tenant.tenant_id}/credentials", f"tenants/{tenant.tenant_id}/schedules")
    return [browser.call("GET", f"/api/v1/{path}").status for path in (*paths, "pipelines/templates")]


def test_a_browser_calls_every_service_until_the_key_is_revoked(running: Suite, private_key: Rsa) -> None:
    tenant, other = running.tenant(private_key), running.tenant(private_key)
    made = session(tenant, scopes=["schedules:write"], lifetime_seconds=120, user_id="jo@acme.example")
    assert made.status == 200, made.body
    browser = running.anyone.but(Authorization=f"Bearer {made.body['session_token']}", X_User_ID="somebody else")

    assert at_each_service(tenant, browser) == [200] * len(SERVICES)
    schedule = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "0 3 * * *", "timezone": "UTC"}
    created = browser.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/schedules", schedule)
    assert (created.status, created.body["created_by_user_id"]) == (200, "jo@acme.example"), created.body

    refused = [
        browser.call("GET", f"/api/v1/tenants/{other.tenant_id}/quota"),
        browser.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/credentials", tenant.credentials),
        browser.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/session-tokens", {}),
        browser.call("POST", "/api/v1/scheduler/trigger", {}),
    ]
    assert [(answer.status, answer.reason) for answer in refused] == [
        (403, "TENANT_MISMATCH"),
        (403, "SCOPE_MISSING"),
        (403, "CALLER_DENIED"),
        (401, "TOKEN_INVALID"),
    ]

    [key] = running.admin.call("GET", f"/api/v1/tenants/{tenant.tenant_id}/api-keys").body["api_keys"]
    assert running.admin.call("DELETE", f"/api/v1/tenants/{tenant.tenant_id}/api-keys/{key['api_key_id']}").status == 200
    revoked = time.monotonic()
    until(lambda: at_each_service(tenant, browser), lambda statuses: statuses == [401] * len(SERVICES), seconds=2 * REVOKED_WITHIN)
    assert time.monotonic() - revoked < REVOKED_WITHIN
    logs = [path.read_text() for path in running.local.logs_dir.glob("*.log")]
    assert len(logs) >= len(SERVICES)
    assert not any(made.body["session_token"] in log for log in logs)


@pytest.mark.parametrize(("name", "more"), [("X-API-Key", "another"), ("X-API-Key", None), ("Authorization", "Bearer another")])
def test_a_credential_that_is_sent_twice_is_refused(running: Suite, private_key: Rsa, name: str, more: str | None) -> None:
    """None: the same value again. Of an Authorization that is there twice the gateway makes one, with both in it."""
    tenant = running.tenant(private_key)
    good = tenant.rest.headers["X-API-Key"] if name == "X-API-Key" else f"Bearer {session(tenant).body['session_token']}"
    statuses = []
    for values in ((good,), (more or good, good), (good, more or good)):
        connection = http.client.HTTPConnection(running.env["GATEWAY_URL"].removeprefix("http://"), timeout=10)
        connection.putrequest("GET", f"/api/v1/tenants/{tenant.tenant_id}/quota")
        for value in values:
            connection.putheader(name, value)
        connection.endheaders()
        statuses.append(connection.getresponse().status)
        connection.close()
    refused = 400 if name == "X-API-Key" else 401
    assert statuses == [200, refused, refused]
