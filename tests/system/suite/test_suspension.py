"""Tenants as an operator sees and stops them, through the real gateway."""

from collections.abc import Callable

import pytest

from localcloud.rest import Answer
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant, until

pytestmark = pytest.mark.timeout(120)
SECONDS = 5.0
"""As of a revoked key."""


def calls(tenant: Tenant) -> list[Callable[[], Answer]]:
    """One of each service."""
    own = f"/api/v1/tenants/{tenant.tenant_id}"
    return [
        tenant.quota_answer,
        tenant.set_credentials,
        lambda: tenant.rest.call("GET", f"{own}/schedules"),
        lambda: tenant.rest.call("GET", "/api/v1/pipelines/templates"),
    ]


def test_a_suspended_tenant_is_refused_by_every_service_at_once(running: Suite, private_key: Rsa) -> None:
    """By caches that know its key, too; resumed, it is served again by all of them."""
    tenant = running.tenant(private_key)
    assert [call().status for call in calls(tenant)] == [200] * 4
    path = f"/api/v1/tenants/{tenant.tenant_id}"

    suspended = running.admin.call("POST", f"{path}:suspend", {})

    assert (suspended.status, suspended.body["status"]) == (200, "SUSPENDED"), suspended.body
    for call in calls(tenant):
        until(call, lambda answer: answer.reason == "TENANT_NOT_ACTIVE", seconds=SECONDS)
    assert tenant.start("2025-11-17").reason == "TENANT_NOT_ACTIVE"
    resumed = running.admin.call("POST", f"{path}:resume", {})
    assert (resumed.status, resumed.body["status"]) == (200, "ACTIVE"), resumed.body
    for call in calls(tenant):
        until(call, lambda answer: answer.status == 200, seconds=SECONDS)
    assert tenant.rest.call("POST", f"{path}:suspend", {}).status == 401


def test_a_tenant_is_found_read_changed_and_put_back(running: Suite, private_key: Rsa) -> None:
    """As JSON: what is unlimited is absent, before and after."""
    tenant = running.tenant(private_key, daily_limit=25, max_export_bytes=2**40)
    path = f"/api/v1/tenants/{tenant.tenant_id}"
    read = running.admin.call("GET", path)
    assert (read.status, read.body["daily_limit"], read.body["max_export_bytes"]) == (200, 25, str(2**40)), read.body
    assert not {"monthly_limit", "concurrent_limit", "monthly_cost_limit_usd", "max_schedules"} & read.body.keys()
    body = {name: value for name, value in read.body.items() if name not in {"tenant_id", "created_at", "updated_at"}}
    put = running.admin.call("PUT", path, {**body, "daily_limit": 50})
    assert put.status == 200, put.body
    again = running.admin.call("GET", path).body
    assert again == {**read.body, "daily_limit": 50, "updated_at": put.body["tenant"]["updated_at"]}

    listed = running.admin.call("GET", f"/api/v1/tenants?search={tenant.tenant_id.upper()}&page_size=1")
    (summary,) = listed.body["tenants"]
    assert (summary["tenant"], summary["active_keys"], summary["runs_today"]) == (again, 1, 0)
    first = running.admin.call("GET", "/api/v1/tenants?page_size=1").body["next_page_token"]
    forged = running.admin.call("GET", f"/api/v1/tenants?page_size=1&status=SUSPENDED&page_token={first}")
    assert (forged.status, forged.reason) == (400, "BAD_FIELD")
    assert running.admin.call("GET", "/api/v1/tenants/t_that_never_was").reason == "TENANT_NOT_FOUND"
