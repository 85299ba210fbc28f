"""Flows 1 and 2 of the specification by REST: every documented field, then the rows."""

import hashlib
import math
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.system.tenants import Suite, Tenant, until

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DAY = date(2025, 11, 17)
NEXT = DAY + timedelta(days=1)
EXPORT = {DAY: many(DAY, 300, seed=1), NEXT: many(NEXT, 200, seed=2)}


@pytest.fixture(scope="module")
def acme(running: Suite, private_key: Rsa) -> Tenant:
    """A tenant with credentials, and a standard export in a dataset of its own naming."""
    tenant = running.tenant(private_key, daily_limit=25)
    table = f"{tenant.project}.finance_eu.gcp_billing_export_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], table, [row for rows in EXPORT.values() for row in rows], STANDARD)
    assert tenant.set_credentials().status == 200
    return tenant


def cost_by_service(tenant: Tenant, day: date) -> dict[str, tuple[int, float, float]]:
    rows = tenant.rows(
        "SELECT service_description AS s, COUNT(*) AS n, SUM(cost) AS cost, SUM(credits_total) AS credits "
        f"FROM {{}}.billing_cost_daily WHERE usage_date = '{day}' GROUP BY s"
    )
    return {row["s"]: (row["n"], round(row["cost"], 6), round(row["credits"], 6)) for row in rows}


def expected_cost(rows: list[dict[str, Any]]) -> dict[str, tuple[int, float, float]]:
    services: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        services[row["service"]["description"]].append(row)
    return {
        service: (
            len(mine),
            round(math.fsum(row["cost"] for row in mine), 6),
            round(math.fsum(credit["amount"] for row in mine for credit in row["credits"] or ()), 6),
        )
        for service, mine in services.items()
    }


def test_flow_1_credentials_created_then_updated(running: Suite, private_key: Rsa) -> None:
    tenant = running.tenant(private_key)
    created = tenant.set_credentials()
    updated = tenant.set_credentials()

    assert (created.status, created.body) == (
        200,
        {
            "tenant_id": tenant.tenant_id,
            "provider": "GCP",
            "action": "CREATED",
            "dataset_status": "CREATED",
            "tables_created": ["x_meta_pipeline_runs", "x_meta_step_logs", "x_meta_dq_results"],
            "message": "GCP credentials added successfully",
        },
    )
    assert {name: updated.body[name] for name in ("action", "dataset_status", "tables_created")} == {
        "action": "UPDATED",
        "dataset_status": "ALREADY_EXISTS",
        "tables_created": [],
    }
    columns = "provider, created_by_user_id, updated_by_user_id"
    stored = running.query(f"SELECT {columns} FROM tenants.tenant_cloud_credentials WHERE tenant_id = '{tenant.tenant_id}'")
    assert [tuple(row.values()) for row in stored] == [("GCP", "alice_uuid", "alice_uuid")]
    audit = tenant.rows("SELECT user_id, action, provider FROM {}.x_meta_step_logs ORDER BY timestamp")
    assert [(row["user_id"], row["action"], row["provider"]) for row in audit] == [
        ("alice_uuid", "CREDENTIAL_ADDED", "GCP"),
        ("alice_uuid", "CREDENTIAL_UPDATED", "GCP"),
    ]


def test_flow_2_a_run_lands_in_the_tenants_dataset(acme: Tenant) -> None:
    started = acme.start(DAY)
    identity = started.body["pipeline_logging_id"]
    assert started.body == {
        "pipeline_logging_id": identity,
        "tenant_id": acme.tenant_id,
        "status": "RUNNING",
        "message": "Pipeline triggered successfully",
    }
    assert UUID.fullmatch(identity)

    run = acme.finished(started)

    assert (run["status"], run["rows_processed"], run["user_id"], run["trigger_type"]) == ("COMPLETED", "300", "alice_uuid", "api")
    assert run["pipeline_id"] == f"{acme.tenant_id}-gcp-cost-billing"
    assert cost_by_service(acme, DAY) == expected_cost(EXPORT[DAY])
    this = f"WHERE pipeline_logging_id = '{identity}'"
    stored = acme.rows(f"SELECT status, user_id, trigger_type, attempt FROM {{}}.x_meta_pipeline_runs {this}")
    assert [tuple(row.values()) for row in stored] == [("COMPLETED", "alice_uuid", "api", 1)]
    steps = acme.rows(f"SELECT DISTINCT user_id FROM {{}}.x_meta_step_logs {this}")
    checks = acme.rows(f"SELECT DISTINCT user_id, check_name FROM {{}}.x_meta_dq_results {this}")
    assert [row["user_id"] for row in steps] == ["alice_uuid"]
    assert {row["user_id"] for row in checks} == {"alice_uuid"}
    assert len(checks) >= 3
    check_costs_over_rest(acme)


def check_costs_over_rest(tenant: Tenant) -> None:
    """The day's costs, with a key that may read them; names and values come through the gateway as they were written."""
    keys = f"/api/v1/tenants/{tenant.tenant_id}/api-keys"
    reader = tenant.rest.but(X_API_Key=tenant.suite.admin.call("POST", keys, {"scopes": ["costs:read"]}).body["api_key"])
    path = f"/api/v1/tenants/{tenant.tenant_id}/costs"
    day = f"start_date={DAY}&end_date={DAY}"

    by_service = reader.call("GET", f"{path}?{day}&group_by=service,charge_category&granularity=day")
    assert by_service.status == 200, by_service.body
    net = defaultdict[str, float](float)
    for row in by_service.body["costs"]:
        net[row["group"]["service"]] += float(row["cost"])
    expected = {service: round(cost + credit, 6) for service, (_, cost, credit) in expected_cost(EXPORT[DAY]).items()}
    assert {service: round(cost, 6) for service, cost in net.items()} == pytest.approx(expected, abs=1e-5)
    assert {row["period"] for row in by_service.body["costs"]} == {str(DAY)}
    assert by_service.body["days"]["holes"] == []
    assert by_service.body["days"]["as_of"]

    one = max(expected)
    filtered = reader.call("GET", f"{path}?{day}&filter=service={quote(one)}&filter=tag:%22a%3Db%22=&top=1&group_by=service")
    assert {row["group"].get("service") for row in filtered.body["costs"]} == {one}
    listed = reader.call("GET", f"{path}/days?{day}")
    assert [one["date"] for one in listed.body["days"]] == [str(DAY)]
    bad = reader.call("GET", f"{path}?{day}&group_by=servce")
    assert (bad.status, bad.reason, "group_by: 'servce' is no dimension" in bad.body["message"]) == (400, "BAD_FIELD", True)
    assert (tenant.rest.call("GET", f"{path}?{day}").reason, reader.call("PUT", f"{path}/invoices/2025-11", {}).reason) == (
        "SCOPE_MISSING",
        "SCOPE_MISSING",
    )
    assert reader.call("GET", f"/api/v1/tenants/another_tenant/costs?{day}").reason == "TENANT_MISMATCH"


def test_the_same_day_twice_and_twice_at_once_leaves_the_same_rows(acme: Tenant) -> None:
    acme.finished(acme.start(NEXT))
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: acme.finished(acme.start(NEXT)), range(2)))

    assert [run["status"] for run in runs] == ["COMPLETED", "COMPLETED"]
    assert cost_by_service(acme, NEXT) == expected_cost(EXPORT[NEXT])
    # A run's row says first that it has ended, then its slot is settled.
    until(acme.quota, lambda quota: quota["concurrent_pipelines_running"] == 0, seconds=20)


def test_a_day_without_rows_completes_and_says_so(acme: Tenant) -> None:
    run = acme.finished(acme.start(DAY - timedelta(days=30)))
    assert (run["status"], run["rows_processed"]) == ("COMPLETED", "0")
    assert {check["check_name"]: check["status"] for check in run["dq_results"]}["rows_present"] == "FAILED"


def test_runs_are_listed_newest_first_with_filters_and_pages(acme: Tenant) -> None:
    for _ in range(2):
        acme.finished(acme.start(DAY))
    path = f"/api/v1/pipelines/runs/{acme.tenant_id}"
    everything = acme.rest.call("GET", f"{path}?status=COMPLETED&pipeline=gcp/cost/billing&date={datetime.now(UTC).date()}").body["runs"]
    first = acme.rest.call("GET", f"{path}?page_size=1").body
    second = acme.rest.call("GET", f"{path}?page_size=1&page_token={first['next_page_token']}").body

    assert [run["started_at"] for run in everything] == sorted((run["started_at"] for run in everything), reverse=True)
    # What a run has cost is added a moment after its end.
    cost = {"bytes_billed", "bytes_read", "slot_ms", "cost_usd"}
    pages = [first["runs"][0], second["runs"][0]]
    assert [{name: run[name] for name in run.keys() - cost} for run in pages] == [
        {name: run[name] for name in run.keys() - cost} for run in everything[:2]
    ]
    assert acme.rest.call("GET", f"{path}?status=FAILED").body["runs"] == []


def test_what_can_be_run_is_listed(acme: Tenant) -> None:
    templates = acme.rest.call("GET", "/api/v1/pipelines/templates").body["templates"]
    billing = next(one for one in templates if (one["provider"], one["domain"], one["template"]) == ("gcp", "cost", "billing"))
    date_ = next(parameter for parameter in billing["parameters"] if parameter["name"] == "date")
    assert (date_["type"], date_["required"]) == ("date", False), "or a range, or changed days"


def test_key_headers_are_hashed_as_documented(acme: Tenant, running: Suite) -> None:
    hashed = hashlib.sha256(acme.rest.headers["X-API-Key"].encode()).hexdigest()
    stored = running.query(f"SELECT tenant_id FROM tenants.tenant_api_keys WHERE api_key_hash = '{hashed}'")
    assert [row["tenant_id"] for row in stored] == [acme.tenant_id]
