"""A dry run through the real gateway: what a run would read, cost and fail with; no quota is used."""

from datetime import date

from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite

VALIDATE = "/api/v1/pipelines/validate/{}/gcp/cost/{}"


def test_a_dry_run_tells_bytes_and_cost_and_spends_no_quota(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    path = VALIDATE.format(tenant.tenant_id, "billing")
    refused = tenant.rest.call("POST", path, {"date": "2025-11-17"})
    assert (refused.status, refused.body["details"][0]["reason"]) == (400, "CREDENTIALS_MISSING")
    assert tenant.set_credentials().status == 200
    source = f"{tenant.project}.exports.gcp_billing_export_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], source, many(date(2025, 11, 17), 20), STANDARD)

    answer = tenant.rest.call("POST", path, {"date": "2025-11-17"})

    assert answer.status == 200, answer.body
    body = answer.body
    assert (body["problems"], body["valid"], body["first_day"], body["last_day"]) == ([], True, "2025-11-17", "2025-11-17")
    assert body["parameters"] == {"date": "2025-11-17", "invoice_issuer": "Google Cloud"}
    assert [step["step_id"] for step in body["steps"]][:3] == ["extract", "checks", "publish"]
    assert body["steps"][0]["metadata"]["source_table"] == source
    assert int(body["bytes_read"]) == sum(int(step["bytes_read"]) for step in body["steps"]) > 0
    assert body["cost_usd"] > body["tenant_cost_usd"] > 0
    assert tenant.quota()["pipelines_run_today"] == 0
    assert tenant.rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}").body["runs"] == []


def test_a_dry_run_tells_what_a_run_would_fail_with(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key, project="no-billing-export")
    assert tenant.set_credentials().status == 200
    started = tenant.finished(tenant.start("2025-11-17"))
    body = tenant.rest.call("POST", VALIDATE.format(tenant.tenant_id, "billing"), {"date": "2025-11-17"}).body
    assert (body["valid"], body["steps"]) == (False, [])
    [problem] = body["problems"]
    assert started["error_message"] == f"Step {problem['step_id']}: {problem['message']}"


def test_no_such_pipeline(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    answer = tenant.rest.call("POST", VALIDATE.format(tenant.tenant_id, "nothing"), {})
    assert (answer.status, answer.body["details"][0]["reason"]) == (404, "TEMPLATE_NOT_FOUND")
