"""Who did what, through the real gateway: read as a tenant and as an operator, and verified with the command."""

import json
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from localcloud.rest import Rest
from services.platform.settings import REPOSITORY
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant, until

pytestmark = pytest.mark.timeout(240)
SECONDS = 30.0
"""Entries are sent every 2 s, and appended together with those of the next 3 s."""


def pages(rest: Rest, path: str, size: int = 3) -> list[dict[str, Any]]:
    found, token = list[dict[str, Any]](), ""
    while not found or token:
        answer = rest.call("GET", f"{path}page_size={size}&page_token={token}")
        assert answer.status == 200, answer.body
        found.append(answer.body)
        token = answer.body["next_page_token"]
    return found


def entries(rest: Rest, path: str) -> list[dict[str, Any]]:
    return [entry for page in pages(rest, path, size=200) for entry in page["entries"]]


def reader_of(tenant: Tenant) -> Rest:
    """With a key that may read the log."""
    keys = f"/api/v1/tenants/{tenant.tenant_id}/api-keys"
    issued = tenant.suite.admin.call("POST", keys, {"scopes": ["audit:read"]})
    assert issued.status == 200, issued.body
    return tenant.rest.but(X_API_Key=issued.body["api_key"])


def verified(file: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "services.auth.audit", "verify", str(file), *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_tenant_reads_who_did_what_and_verifies_it(running: Suite, private_key: Rsa, tmp_path: Path) -> None:
    tenant = running.tenant(private_key, project="no-billing-export")
    reader, path = reader_of(tenant), f"/api/v1/tenants/{tenant.tenant_id}/audit?"
    assert tenant.set_credentials().status == 200
    run = tenant.start("2025-11-17").body["pipeline_logging_id"]
    for _ in range(3):
        assert tenant.rest.call("DELETE", f"/api/v1/tenants/{tenant.tenant_id}/schedules/{uuid.uuid4()}").status == 404
    schedule = {"provider": "gcp", "domain": "cost", "pipeline_template": "billing", "schedule_cron": "0 3 * * *"}
    made = tenant.rest.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/schedules", schedule).body["config_id"]
    assert tenant.rest.call("GET", path.removesuffix("?")).reason == "SCOPE_MISSING"

    def is_all_there(found: list[dict[str, Any]]) -> bool:
        return {"PutTenant", "CreateApiKey", "SetCredentials", "RunPipeline", "CreateSchedule"} <= {entry["action"] for entry in found}

    found = until(partial(entries, reader, path), is_all_there, seconds=SECONDS)
    by_action = {entry["action"]: entry for entry in found}
    fields = ("outcome", "resource", "actor_kind", "actor_role", "user_id", "count")
    facts = {action: tuple(entry[field] for field in fields) for action, entry in by_action.items()}
    assert facts["PutTenant"] == ("OK", "", "ADMIN_KEY", "provisioner", "", 1)
    assert facts["SetCredentials"] == ("OK", "provider=GCP", "API_KEY", "", "alice_uuid", 1)
    named = f"provider=gcp/domain=cost/template=billing/pipeline_logging_id={run}"
    assert facts["RunPipeline"] == ("OK", named, "API_KEY", "", "alice_uuid", 1)
    assert facts["CreateSchedule"] == ("OK", f"config_id={made}", "API_KEY", "", "alice_uuid", 1)
    assert by_action["RunPipeline"]["request_id"]
    assert by_action["RunPipeline"]["client_address"] == "127.0.0.1"
    issued = {entry["resource"].removeprefix("api_key_id=") for entry in found if entry["action"] == "CreateApiKey"}
    assert by_action["RunPipeline"]["actor_id"] in issued
    assert {entry["chain"] for entry in found} == {tenant.tenant_id}

    downloaded = pages(reader, path)
    file, head = tmp_path / "audit.jsonl", downloaded[0]["head"]
    file.write_text("\n".join(json.dumps(page) for page in downloaded))
    known = f"{head['chain']}:{head['seq']}:{head['hash']}"
    assert verified(file, "--head", known) == (0, f"{tenant.tenant_id}: intact, {head['seq']} entries; ends with {known}\n")
    file.write_text(file.read_text().replace('"alice_uuid"', '"mallory"'))
    code, said = verified(file)
    assert (code, "was changed" in said) == (1, True)
    tables = [*running.query("SELECT * FROM tenants.audit_log"), *found]
    for secret in (tenant.rest.headers["X-API-Key"], reader.headers["X-API-Key"], running.env["ADMIN_API_KEY"], private_key.pkcs8[60:100]):
        assert secret not in str(tables)


def test_an_operator_reads_all_chains_and_what_strangers_tried(running: Suite, private_key: Rsa) -> None:
    """A suspended tenant reads its log, too; no tenant reads another's."""
    tenant, victim = running.tenant(private_key), running.tenant(private_key)
    reader, path = reader_of(tenant), f"/api/v1/tenants/{tenant.tenant_id}/audit?"
    stranger = running.anyone.but(X_API_Key="a-key-that-was-never-issued")
    for _ in range(5):
        assert stranger.call("DELETE", f"/api/v1/tenants/{victim.tenant_id}/credentials/GCP").status == 401
        assert reader.call("DELETE", f"/api/v1/tenants/{victim.tenant_id}/credentials/GCP").status == 403
    assert reader.call("GET", f"/api/v1/tenants/{victim.tenant_id}/audit").reason == "TENANT_MISMATCH"
    assert reader.call("GET", "/api/v1/audit").status == 401
    suspended = {"company_name": "Acme", "admin_email": "a@acme.example", "status": "SUSPENDED"}
    assert running.admin.call("PUT", f"/api/v1/tenants/{tenant.tenant_id}", suspended).status == 200

    until(partial(entries, reader, path), lambda found: len(found) >= 4, seconds=SECONDS)
    everything = entries(running.admin, "/api/v1/audit?action=PutTenant&")
    assert {tenant.tenant_id, victim.tenant_id} <= {entry["chain"] for entry in everything}
    of_one = running.admin.call("GET", f"/api/v1/audit?chain={tenant.tenant_id}&page_size=1").body
    assert of_one["entries"][0]["hash"] == of_one["head"]["hash"]

    assert running.admin.call("GET", "/api/v1/audit?chain=A%20B").status == 400
    for path in (
        "/api/v1/audit?chain=no_such",
        "/api/v1/scheduler/queue?tenant_id=no_such",
        "/api/v1/quotas/no_such",
        "/api/v1/runs?tenant_id=no_such",
    ):
        unknown = running.admin.call("GET", path)
        assert (unknown.status, unknown.reason) == (404, "TENANT_NOT_FOUND"), path
        assert "GET /api/v1/tenants lists" in unknown.body["message"], path
    assert running.admin.call("GET", "/api/v1/audit?start_time=yesterday").status == 400
    assert running.admin.call("GET", "/api/v1/audit?start_time=2026-01-01T00:00:00Z&end_time=2026-01-01T00:00:00Z").status == 400
    assert "page_token" in str(running.admin.call("GET", "/api/v1/audit?page_token=x").body)
