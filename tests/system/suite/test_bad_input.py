"""Bad input through the gateway: always 4xx in one shape, naming the field, never 500, and nothing written."""

import base64
from collections.abc import Iterator

import pytest

from localcloud.rest import Answer
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant

SQL = "x'; DROP TABLE tenants.tenant_profiles; --"
RUN = "/api/v1/pipelines/run/{}/gcp/cost/billing"
CREDENTIALS = "/api/v1/tenants/{}/credentials"


@pytest.fixture(scope="module")
def tenant(running: Suite, private_key: Rsa) -> Iterator[Tenant]:
    """One for all of these: nothing that is refused may have cost it a run."""
    tenant = running.tenant(private_key)
    assert tenant.set_credentials().status == 200
    yield tenant
    assert tenant.quota()["pipelines_run_today"] == 0


def fields(answer: Answer) -> list[str]:
    assert set(answer.body) == {"code", "message", "details"}, answer.body
    return [violation["field"] for detail in answer.body["details"] for violation in detail.get("field_violations", [])]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (RUN, {}, "parameters.date"),
        (RUN, {"date": "2025-02-30"}, "parameters.date"),
        (RUN, {"date": 20251117}, "parameters.date"),
        (RUN, {"date": SQL}, "parameters.date"),
        (RUN, {"date": "today"}, "parameters.date"),
        (RUN, {"start_date": "yesterday", "end_date": "2099-12-31"}, "parameters.end_date"),
        (RUN, {"date": "2025-11-17", "surprise": 1}, "parameters.surprise"),
        (RUN, {"date": "2025-11-17", "export_table": f"a.b; {SQL}"}, "parameters.export_table"),
        (CREDENTIALS, {}, "provider"),
        (CREDENTIALS, {"provider": "GCP"}, "credentials"),
        (CREDENTIALS, {"provider": "GCP", "project_id": "acme-gcp-project", "service_account_json": "{}"}, "project_id"),
        (CREDENTIALS, {"provider": SQL, "credentials": {"a": 1}}, "provider"),
        (CREDENTIALS, {"provider": "GCP", "credentials": {"project_id": SQL, "service_account_json": "{}"}}, "credentials.project_id"),
        (
            CREDENTIALS,
            {"provider": "GCP", "credentials": {"project_id": "acme-gcp-project", "service_account_json": "{not json"}},
            "credentials.service_account_json",
        ),
    ],
)
def test_a_bad_body_names_its_field(tenant: Tenant, path: str, body: object, field: str) -> None:
    answer = tenant.rest.call("POST", path.format(tenant.tenant_id), body)
    assert (answer.status, fields(answer)) == (400, [field])
    assert "DROP TABLE" not in answer.body["message"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=COMPLETED&status=FAILED", "status"),
        ("page_size=3&pageSize=4", "page_size"),
        ("status", "status"),
        ("tenant_id={}", "tenant_id"),
    ],
)
def test_a_query_says_a_thing_once(tenant: Tenant, query: str, field: str) -> None:
    answer = tenant.rest.call("GET", f"/api/v1/pipelines/runs/{tenant.tenant_id}?{query.format(tenant.tenant_id)}")
    assert (answer.status, answer.reason, fields(answer)) == (400, "BAD_FIELD", [field])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expire_at": "2030-01-01T00:00:00Z"}, "expire_at"),
        ({"scopes": ["runs:read"], "scope": ["runs:read"]}, "scope"),
        ({"expiresAt": "2030-01-01T00:00:00Z", "tenantId": "other"}, "tenantId"),
    ],
)
def test_no_key_is_made_where_a_field_is_misspelt(running: Suite, tenant: Tenant, body: object, field: str) -> None:
    path = f"/api/v1/tenants/{tenant.tenant_id}/api-keys"
    before = running.admin.call("GET", path).body
    answer = running.admin.call("POST", path, body)
    assert (answer.status, answer.reason, fields(answer)) == (400, "BAD_FIELD", [field])
    assert answer.body["message"] == f"{field}: is no field of this request's body. It takes scopes, expires_at."
    assert running.admin.call("GET", path).body == before


def test_a_schedule_stays_as_it_is_where_a_field_is_misspelt(tenant: Tenant) -> None:
    """Also by DELETE, for which the transcoder reads a body too."""
    path = f"/api/v1/tenants/{tenant.tenant_id}/schedules"
    pipeline = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "parameters": {"date": "yesterday"}}
    made = tenant.rest.call("POST", path, {**pipeline, "schedule_cron": "0 6 1 1 *"})
    assert made.status == 200, made.body
    path = f"{path}/{made.body['config_id']}"
    before = tenant.rest.call("GET", path).body
    for method, body, field in (
        ("PATCH", {"is_actve": False}, "is_actve"),
        ("PATCH", {"is_active": False, "config_id": made.body["config_id"]}, "config_id"),
        ("DELETE", {"dry_run": True}, "dry_run"),
    ):
        answer = tenant.rest.call(method, path, body)
        assert (answer.status, fields(answer)) == (400, [field])
    assert tenant.rest.call("GET", path).body == before


def test_who_calls_is_asked_before_what_is_sent(tenant: Tenant) -> None:
    answer = tenant.rest.but(X_API_Key="nobody").call("POST", CREDENTIALS.format(tenant.tenant_id), {"surprise": 1})
    assert (answer.status, answer.reason) == (401, "API_KEY_INVALID")


@pytest.mark.parametrize("data", [b"{", b"[1, 2]", b"\xff\xfe", b'"text"'])
def test_what_is_no_json_object_is_refused(tenant: Tenant, data: bytes) -> None:
    answer = tenant.rest.call("POST", RUN.format(tenant.tenant_id), data=data)
    assert (answer.status, sorted(answer.body)) == (400, ["code", "details", "message"])


def test_two_megabytes_are_too_much(tenant: Tenant) -> None:
    answer = tenant.rest.call("POST", CREDENTIALS.format(tenant.tenant_id), {"provider": "GCP", "credentials": {"x": "a" * 2_000_000}})
    assert (answer.status, sorted(answer.body)) == (413, ["code", "details", "message"])


@pytest.mark.parametrize("name", ["tenants", "information_schema", "INFORMATION_SCHEMA", "ab", "a" * 65, "a-b", "_abc", "a%20b", "a%27b"])
def test_names_no_tenant_may_have(running: Suite, name: str) -> None:
    answer = running.admin.call("PUT", f"/api/v1/tenants/{name}", {"company_name": "x"})
    assert (answer.status, fields(answer)) == (400, ["tenant_id"])


FIRST_MOMENT = base64.urlsafe_b64encode(b'["0001-01-01T00:00:00+23:59", "x"]').decode().rstrip("=")
LONE_SURROGATE = base64.urlsafe_b64encode(rb'["2025-01-01T00:00:00+00:00", "\ud800"]').decode().rstrip("=")
"""Well-formed, and not ours: values that BigQuery cannot take."""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/v1/pipelines/run/{}/gcp/cost/nothing", 404),
        ("POST", "/api/v1/pipelines/run/{}/gcp/..%2f..%2fetc/passwd", 404),
        ("POST", "/api/v1/pipelines/run/{}/gcp/cost/bil%27ling", 404),
        ("GET", "/api/v1/pipelines/runs/{}/not-a-run", 404),
        ("GET", "/api/v1/pipelines/runs/{}/%27%20OR%201=1", 404),
        ("GET", "/api/v1/pipelines/runs/{}?status=%27", 400),
        ("GET", "/api/v1/pipelines/runs/{}?date=2025-02-30", 400),
        ("GET", "/api/v1/pipelines/runs/{}?page_token=garbage", 400),
        ("GET", f"/api/v1/pipelines/runs/{{}}?page_token={FIRST_MOMENT}", 400),
        ("GET", f"/api/v1/pipelines/runs/{{}}?page_token={LONE_SURROGATE}", 400),
        ("GET", f"/api/v1/tenants/{{}}/scheduled-runs?page_token={FIRST_MOMENT}", 400),
        ("GET", "/api/v1/pipelines/runs/{}?page_size=-1", 400),
        ("GET", "/api/v1/pipelines/runs/{}?page_size=many", 400),
        ("GET", "/api/v1/pipelines/runs/{}?surprise=1", 400),
        ("DELETE", "/api/v1/tenants/{}/credentials/ORACLE", 400),
        ("DELETE", "/api/v1/tenants/{}/credentials/AWS", 404),
        ("GET", "/api/v1/nothing/here", 404),
        ("GET", "/", 404),
    ],
)
def test_hostile_paths_are_refused_in_one_shape(tenant: Tenant, method: str, path: str, status: int) -> None:
    answer = tenant.rest.call(method, path.format(tenant.tenant_id), {"date": "2025-11-17"} if method == "POST" else None)
    assert (answer.status, sorted(answer.body)) == (status, ["code", "details", "message"]), answer.body


def test_peers_rpcs_are_not_reachable(tenant: Tenant) -> None:
    for path in ("/convergence.auth.v1.LedgerService/Reserve", "/convergence.credentials.v1.SealedCredentialService/GetSealedCredential"):
        assert tenant.rest.call("POST", path, {"tenant_id": tenant.tenant_id}).status == 404


def test_a_user_id_is_at_most_128_characters(tenant: Tenant) -> None:
    path = f"/api/v1/tenants/{tenant.tenant_id}/quota"
    assert tenant.rest.but(X_User_ID="u" * 128).call("GET", path).status == 200
    answer = tenant.rest.but(X_User_ID="u" * 129).call("GET", path)
    assert (answer.status, fields(answer)) == (400, ["X-User-ID"])
