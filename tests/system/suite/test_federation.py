"""A tenant without a key, by REST alone: what to set up, the credentials, a run; and a neighbour that names the same cloud."""

import re
from collections.abc import Iterator
from datetime import date

import pytest

from tests.support.credentials.samples import Rsa
from tests.support.executor.billing_export import ACCOUNT, STANDARD, load, many
from tests.support.google_sts import PROVIDER, google_sts, trust
from tests.system.tenants import Suite, Tenant

DAY = date(2025, 11, 17)
TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}")
"""A JSON Web Token: its header and its claims."""


@pytest.fixture(scope="module")
def sts(running: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with google_sts(tmp_path_factory.mktemp("sts"), running.local.google_sts_port) as url:
        yield url


def store(tenant: Tenant, project: str, **more: object) -> dict[str, object]:
    credentials = {"project_id": project, "workload_identity_provider": PROVIDER}
    answer = tenant.rest.call(
        "POST", f"/api/v1/tenants/{tenant.tenant_id}/credentials", {"provider": "GCP", "credentials": credentials, **more}
    )
    return {"status": answer.status, "reason": answer.reason, **answer.body}


def test_a_run_reads_the_export_without_any_key_and_a_neighbour_s_does_not(running: Suite, sts: str, private_key: Rsa) -> None:
    tenant, neighbour = running.tenant(private_key), running.tenant(private_key)
    table = f"{tenant.project}.finance.gcp_billing_export_v1_{ACCOUNT}"
    load(running.env["BIGQUERY_EMULATOR_HOST"], table, many(DAY, 30, seed=3), STANDARD)
    guide = tenant.rest.call("GET", f"/api/v1/tenants/{tenant.tenant_id}/credentials/gcp/trust").body
    refused = store(tenant, tenant.project, validate=True, export=table)
    assert (refused["status"], refused["reason"]) == (400, "CREDENTIALS_REFUSED"), refused

    trust(sts, guide["issuer"], guide["subject"])
    stored = store(tenant, tenant.project, validate=True, export=table)
    assert (stored["status"], stored.get("action")) == (200, "CREATED"), stored
    [listed] = tenant.rest.call("GET", f"/api/v1/tenants/{tenant.tenant_id}/credentials").body["credentials"]
    assert (listed["access"], listed["access_status"]) == ("FEDERATION", "WORKS")
    run = tenant.finished(tenant.start(DAY))
    assert (run["status"], run["rows_processed"]) == ("COMPLETED", "30"), run

    # The neighbour names the tenant's project and provider. Its own tokens are about itself.
    assert store(neighbour, tenant.project)["status"] == 200
    run = neighbour.finished(neighbour.start(DAY, export_table=table))
    assert run["status"] == "FAILED"
    assert "The attribute condition of the workload identity provider refuses this tenant." in run["error_message"]
    assert neighbour.rest.call("POST", f"/api/v1/tenants/{neighbour.tenant_id}/credentials/gcp:check", {}).body["verdict"] == "REFUSED"

    logs = {path.name: path.read_bytes() for path in running.local.logs_dir.iterdir()}
    assert {"credentials.log", "executor.log"} <= set(logs)
    assert [name for name, text in logs.items() if TOKEN.search(text)] == []
