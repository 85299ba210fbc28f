"""Calls that are refused, each for one reason, for examples of errors."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.support.api.recorder import Ask, Recorded
from tests.support.attacks.world import ROLE_KEYS, suspend
from tests.support.credentials.samples import Rsa
from tests.support.google_sts import PROVIDER
from tests.system.tenants import Suite, Tenant

SCHEDULE = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "0 3 1 1 *"}
NOTHING = "00000000-0000-4000-8000-000000000000"


def record_refusals(suite: Suite, private_key: Rsa, tenant: Tenant, recorded: Recorded) -> None:
    """Makes the calls. `tenant` has credentials of Google Cloud; another one is made for its limits."""
    with ThreadPoolExecutor(1) as pool:
        # The gateway waits some seconds for the rest of the request.
        late = pool.submit(_unfinished, _schedules(suite, tenant), dict(tenant.rest.headers))
        _of_keys(suite, tenant, recorded)
        _of_requests(suite, tenant, recorded)
        _not_now(suite, tenant, recorded)
        _limits(suite, private_key, recorded)
        _by_gateway(suite, tenant, recorded)
        recorded.refused(late.result())


def _of_keys(suite: Suite, tenant: Tenant, recorded: Recorded) -> None:
    ask: Ask = recorded.call
    of, anyone = {"tenant_id": tenant.tenant_id}, suite.anyone
    ask(anyone, "GetQuota", **of)
    ask(anyone.but(X_API_Key="cvg_nothing"), "GetQuota", **of)
    ask(anyone.but(Authorization="Bearer nothing"), "GetQuota", **of)
    ask(anyone, "GetSchedulerStatus")
    ask(anyone.but(X_Admin_Key="nothing"), "GetSchedulerStatus")
    ask(anyone.but(X_Admin_Key=ROLE_KEYS["scheduler"]), "ListUsage")
    ask(tenant.rest, "GetCosts", query={"start_date": "2025-11-17", "end_date": "2025-11-17"}, **of)


def _of_requests(suite: Suite, tenant: Tenant, recorded: Recorded) -> None:
    ask: Ask = recorded.call
    of, mine = {"tenant_id": tenant.tenant_id}, tenant.rest
    ask(mine, "ListRuns", query={"page_size": "1000"}, **of)
    ask(mine, "ListRuns", query={"pages": "1"}, **of)
    ask(mine, "GetRun", pipeline_logging_id=NOTHING, **of)
    ask(mine, "GetSchedule", config_id=NOTHING, **of)
    ask(mine, "GetScheduledRun", run_id=NOTHING, **of)
    ask(mine, "RunPipeline", provider="gcp", domain="cost", template="nothing", **of)
    ask(mine, "DeleteCredentials", provider="AWS", **of)
    ask(mine, "CheckCredentials", provider="AWS", **of)
    ask(suite.admin, "RotateApiKey", api_key_id=NOTHING, **of)
    ask(suite.admin, "ListApiKeys", tenant_id="no_such_tenant")
    key = {"Idempotency-Key": "used-before"}
    ask(mine, "CreateSchedule", headers=key, body=SCHEDULE, **of)
    ask(mine, "CreateSchedule", headers=key, body=SCHEDULE | {"schedule_cron": "0 4 1 1 *"}, **of)


def _not_now(suite: Suite, tenant: Tenant, recorded: Recorded) -> None:
    """Calls about resources that exist, but whose state does not allow the call."""
    ask: Ask = recorded.call
    of, mine, path = {"tenant_id": tenant.tenant_id}, tenant.rest, f"/api/v1/tenants/{tenant.tenant_id}"
    [run, *_] = ask(mine, "ListRuns", query={"status": "COMPLETED"}, **of).body["runs"]
    ask(mine, "CancelRun", pipeline_logging_id=run["pipeline_logging_id"], **of)
    config = mine.call("POST", f"{path}/schedules", SCHEDULE).body["config_id"]
    assert mine.call("POST", f"{path}/schedules/{config}:backfill", {"start_date": "2025-11-17", "end_date": "2025-11-17"}).status == 200
    [waiting] = ask(mine, "ListScheduledRuns", query={"config_id": config}, **of).body["scheduled_runs"]
    ask(mine, "RetryScheduledRun", run_id=waiting["run_id"], **of)
    keys = ask(suite.admin, "ListApiKeys", **of).body["api_keys"]
    ask(suite.admin, "RotateApiKey", api_key_id=next(key["api_key_id"] for key in keys if not key["is_active"]), **of)
    token = mine.call("POST", f"{path}/session-tokens", {}).body["session_token"]
    ask(suite.anyone.but(Authorization=f"Bearer {token}"), "CreateSessionToken", **of)
    ask(mine, "TestNotification", provider="GCP", **of)
    # Google's token service is not running here.
    federated = {"project_id": tenant.project, "workload_identity_provider": PROVIDER}
    ask(mine, "SetCredentials", body={"provider": "GCP", "credentials": federated, "validate": True}, **of)
    missing = f"{tenant.project}.finance.gcp_billing_export_v1_nothing"
    ask(mine, "SetCredentials", body={**tenant.credentials, "validate": True, "export": missing}, **of)


def _limits(suite: Suite, private_key: Rsa, recorded: Recorded) -> None:
    other = suite.tenant(private_key)
    recorded.names[other.tenant_id] = "globex"
    assert other.set_credentials().status == 200
    ask: Ask = recorded.call
    of = {"tenant_id": other.tenant_id}
    run = {"provider": "gcp", "domain": "cost", "template": "billing", "body": {"date": "2025-11-17"}}
    config = other.rest.call("POST", f"/api/v1/tenants/{other.tenant_id}/schedules", SCHEDULE).body["config_id"]

    def limited_to(least: int, limit: str) -> None:
        assert suite.admin.call("PUT", f"/api/v1/tenants/{other.tenant_id}", {"company_name": "Globex", limit: least}).status == 200

    for limit in ("daily_limit", "monthly_limit", "concurrent_limit"):
        limited_to(0, limit)
        ask(other.rest, "RunPipeline", **of, **run)
    limited_to(0, "max_schedules")
    ask(other.rest, "CreateSchedule", body=SCHEDULE, **of)
    limited_to(1, "max_queued_runs")
    ask(other.rest, "BackfillSchedule", config_id=config, body={"start_date": "2025-11-15", "end_date": "2025-11-17"}, **of)
    # As if someone had put another row's ciphertext here.
    suite.query(f"UPDATE tenants.tenant_cloud_credentials SET encrypted_credentials = b'other' WHERE tenant_id = '{other.tenant_id}'")
    ask(other.rest, "CheckCredentials", provider="GCP", **of)
    suspend(other)
    ask(other.rest, "GetQuota", tenant_id="no_such_tenant")
    for plan, calls in (({"status": "SUSPENDED"}, 1), ({"subscription_status": "PAST_DUE"}, 1), ({"requests_per_minute": 2}, 4)):
        # Another one each time: what is known of a key is kept for some seconds.
        limited = suite.tenant(private_key, **plan)
        recorded.names[limited.tenant_id] = "globex"
        for _ in range(calls):
            ask(limited.rest, "GetQuota", tenant_id=limited.tenant_id)


def _by_gateway(suite: Suite, tenant: Tenant, recorded: Recorded) -> None:
    url, keys = _schedules(suite, tenant), dict(tenant.rest.headers)
    large = b'{"provider": "' + b"x" * 70_000 + b'"}'
    answers = [
        requests.post(url, data=large, headers=keys, timeout=30),
        requests.post(url, data=b"{}", headers={**keys, "Content-Encoding": "gzip"}, timeout=30),
        requests.get(url, headers={**keys, "X-Large": "x" * 9_000}, timeout=30),
        requests.get(f"{suite.env['GATEWAY_URL']}/api/v1/nothing", headers=keys, timeout=30),
        requests.delete(url, headers=keys, timeout=30),
    ]
    for answer in answers:
        recorded.refused(answer.json())


def _schedules(suite: Suite, tenant: Tenant) -> str:
    return f"{suite.env['GATEWAY_URL']}/api/v1/tenants/{tenant.tenant_id}/schedules"


def _unfinished(url: str, keys: dict[str, str]) -> Any:
    """The answer to a request that does not arrive completely."""
    parts = urlsplit(url)
    lines = [
        f"POST {parts.path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Length: 10",
        *(f"{name}: {value}" for name, value in keys.items()),
    ]
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", "{"]).encode())
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    return json.loads(received.partition(b"\r\n\r\n")[2])
