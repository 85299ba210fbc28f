"""Checking access by REST: on request, before storing, and by the nightly job."""

from datetime import date

from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite


def test_access_is_checked_on_request_before_storing_and_at_night(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    path = f"/api/v1/tenants/{tenant.tenant_id}/credentials"
    missing = f"{tenant.project}.finance.gcp_billing_export_v1_{ACCOUNT}"

    refused = tenant.rest.call("POST", path, {**tenant.credentials, "validate": True, "export": missing})
    assert (refused.status, refused.reason) == (400, "ACCESS_LACKING"), refused.body
    assert tenant.rest.call("GET", path).body["credentials"] == []
    assert tenant.rest.call("POST", f"{path}/gcp:check", {}).reason == "CREDENTIALS_MISSING"

    load(running.env["BIGQUERY_EMULATOR_HOST"], missing, many(date(2025, 11, 17), 3, seed=1), STANDARD)
    assert tenant.rest.call("POST", path, {**tenant.credentials, "validate": True, "export": missing}).status == 200
    [stored] = tenant.rest.call("GET", path).body["credentials"]
    assert (stored["access_status"], stored["access_problem"], stored["access_export"]) == ("WORKS", "", missing)
    assert tenant.set_credentials().status == 200
    [stored] = tenant.rest.call("GET", path).body["credentials"]
    assert (stored["access_status"], stored.get("access_checked_at")) == ("", None)

    found = tenant.rest.call("POST", f"{path}/gcp:check", {"export": missing})
    assert (found.status, found.body["verdict"]) == (200, "WORKS"), found.body
    assert [one["name"] for one in found.body["findings"]] == [
        "service account key",
        "bigquery.tables.get",
        "bigquery.readsessions.create",
        "bigquery.tables.getData",
    ]
    [stored] = tenant.rest.call("GET", path).body["credentials"]
    assert (stored["access_status"], stored["access_export"]) == ("WORKS", missing)

    assert tenant.rest.call("POST", f"{path}/slack:check", {}).reason == "BAD_FIELD"
    assert tenant.rest.call("POST", "/api/v1/scheduler/check-credentials", {}).reason == "ADMIN_KEY_MISSING"
    other = running.tenant(private_key)
    assert other.set_credentials().status == 200
    checked = running.admin.call("POST", "/api/v1/scheduler/check-credentials", {})
    assert (checked.status, int(checked.body["checked_count"]) >= 1) == (200, True), checked.body
    [night] = other.rest.call("GET", f"/api/v1/tenants/{other.tenant_id}/credentials").body["credentials"]
    assert night["access_status"] == "WORKS"
