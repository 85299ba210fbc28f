"""Calls that are refused, each for one reason, for examples of errors."""

import json
import socket
from urllib.parse import urlsplit

import requests

from localcloud.rest import Rest
from tests.support.api.recorder import Recorded
from tests.support.attacks.world import ROLE_KEYS
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant

SCHEDULE = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "0 3 1 1 *"}
NOTHING = "00000000-0000-4000-8000-000000000000"


def record_refusals(suite: Suite, private_key: Rsa, tenant: Tenant, recorded: Recorded) -> None:
    """Makes the calls. `tenant` has credentials of Google Cloud; another one is made for its limits."""
    ask, of = recorded.call, {"tenant_id": tenant.tenant_id}
    admin, mine, anyone = suite.admin, tenant.rest, suite.anyone
    ask(anyone, "GetQuota", **of)
    ask(anyone.but(X_API_Key="cvg_nothing"), "GetQuota", **of)
    ask(anyone.but(Authorization="Bearer nothing"), "GetQuota", **of)
    ask(anyone, "GetSchedulerStatus")
    ask(anyone.but(X_Admin_Key="nothing"), "GetSchedulerStatus")
    ask(anyone.but(X_Admin_Key=ROLE_KEYS["scheduler"]), "ListUsage")
    ask(mine, "GetCosts", query={"start_date": "2025-11-17", "end_date": "2025-11-17"}, **of)
    ask(mine, "ListRuns", query={"page_size": "1000"}, **of)
    ask(mine, "ListRuns", query={"pages": "1"}, **of)
    ask(mine, "GetRun", pipeline_logging_id=NOTHING, **of)
    ask(mine, "GetSchedule", config_id=NOTHING, **of)
    ask(mine, "GetScheduledRun", run_id=NOTHING, **of)
    ask(mine, "RunPipeline", provider="gcp", domain="cost", template="nothing", **of)
    ask(mine, "DeleteCredentials", provider="AWS", **of)
    ask(mine, "CheckCredentials", provider="AWS", **of)
    ask(admin, "RotateApiKey", api_key_id=NOTHING, **of)
    ask(admin, "ListApiKeys", tenant_id="no_such_tenant")
    for run in (mine.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}").body["runs"])[:1]:
        ask(mine, "CancelRun", pipeline_logging_id=run["pipeline_logging_id"], **of)
    _idempotency(mine, recorded, of)
    _limits(suite, private_key, recorded)
    _by_gateway(suite, tenant, recorded)


def _idempotency(mine: Rest, recorded: Recorded, of: dict[str, str]) -> None:
    key = {"Idempotency-Key": "used-before"}
    recorded.call(mine, "CreateSchedule", headers=key, body=SCHEDULE, **of)
    recorded.call(mine, "CreateSchedule", headers=key, body=SCHEDULE | {"schedule_cron": "0 4 1 1 *"}, **of)


def _limits(suite: Suite, private_key: Rsa, recorded: Recorded) -> None:
    other = suite.tenant(private_key)
    recorded.names[other.tenant_id] = "globex"
    assert other.set_credentials().status == 200
    of, ask = {"tenant_id": other.tenant_id}, recorded.call
    run = {"provider": "gcp", "domain": "cost", "template": "billing", "body": {"date": "2025-11-17"}}
    for limit in ("daily_limit", "monthly_limit", "concurrent_limit", "max_schedules"):
        assert suite.admin.call("PUT", f"/api/v1/tenants/{other.tenant_id}", {"company_name": "Globex", limit: 0}).status == 200
        ask(other.rest, "RunPipeline", **of, **run) if limit.endswith("_limit") else ask(other.rest, "CreateSchedule", body=SCHEDULE, **of)
    ask(other.rest, "GetQuota", tenant_id="no_such_tenant")
    for plan, calls in (({"status": "SUSPENDED"}, 1), ({"subscription_status": "PAST_DUE"}, 1), ({"requests_per_minute": 2}, 4)):
        # Another one each time: what is known of a key is kept for some seconds.
        limited = suite.tenant(private_key, **plan)
        recorded.names[limited.tenant_id] = "globex"
        for _ in range(calls):
            ask(limited.rest, "GetQuota", tenant_id=limited.tenant_id)


def _by_gateway(suite: Suite, tenant: Tenant, recorded: Recorded) -> None:
    url, keys = f"{suite.env['GATEWAY_URL']}/api/v1/tenants/{tenant.tenant_id}/schedules", dict(tenant.rest.headers)
    large = b'{"provider": "' + b"x" * 70_000 + b'"}'
    answers = [
        requests.post(url, data=large, headers=keys, timeout=30),
        requests.post(url, data=b"{}", headers={**keys, "Content-Encoding": "gzip"}, timeout=30),
        requests.get(url, headers={**keys, "X-Large": "x" * 9_000}, timeout=30),
        requests.get(f"{suite.env['GATEWAY_URL']}/api/v1/nothing", headers=keys, timeout=30),
        requests.head(f"{suite.env['GATEWAY_URL']}/api/v1/pipelines/runs/{tenant.tenant_id}/{NOTHING}:watch", headers=keys, timeout=30),
    ]
    for answer in answers:
        if answer.content:
            recorded.refused(answer.json())
    recorded.refused(_unfinished(url, keys))


def _unfinished(url: str, keys: dict[str, str]) -> object:
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
