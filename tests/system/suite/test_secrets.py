"""A tenant's secret is nowhere in the clear: not in a table, a log, a file of the stack or a response. Its associated data is its own."""

import base64
import contextlib
import uuid
from pathlib import Path

import grpc
import pytest
from google.api_core.exceptions import InvalidArgument
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from localcloud.settings import LocalSettings
from services.platform.kms.credential_aad import associated_data
from tests.support.credentials.samples import Rsa
from tests.system.tenants import Suite, Tenant


def needles(key: Rsa) -> list[bytes]:
    """Pieces of the private key that appear in whichever way it is written down: PEM lines, and their bytes."""
    lines = [line for line in key.pkcs8.splitlines() if not line.startswith("-----")]
    return [lines[3].encode(), lines[7].encode(), base64.b64decode("".join(lines))[200:230]]


def holds_secret(root: Path, secrets: list[bytes]) -> list[str]:
    return [str(path) for path in root.rglob("*") if any(secret in _content(path) for secret in secrets)]


def _content(path: Path) -> bytes:
    # The stack is at work: a spool file may be gone before it is read.
    with contextlib.suppress(FileNotFoundError, IsADirectoryError):
        return path.read_bytes()
    return b""


@pytest.fixture
def sealed(running: Suite, private_key: Rsa) -> tuple[Tenant, Tenant]:
    tenants = running.tenant(private_key), running.tenant(private_key)
    for tenant in tenants:
        assert tenant.set_credentials().status == 200
    return tenants


def test_no_plaintext_anywhere(
    running: Suite, emulators: LocalSettings, sealed: tuple[Tenant, Tenant], private_key: Rsa, tmp_path: Path
) -> None:
    tenant = sealed[0]
    tenant.finished(tenant.start("2025-11-17"))
    broken = {"provider": "GCP", "credentials": {**tenant.credentials["credentials"], "project_id": "Not A Project"}}
    token = uuid.uuid4().hex
    hook = {"url": f"https://example.com/{token}", "signing_secret": token}
    answers = [
        tenant.rest.call("POST", f"/api/v1/tenants/{tenant.tenant_id}/credentials", sent)
        for sent in (
            broken,
            {"provider": "SLACK", "credentials": {"webhook_url": f"http://example.com/{token}"}},
            {"provider": "WEBHOOK", "credentials": hook},
        )
    ]
    listed = tenant.rest.call("GET", f"/api/v1/tenants/{tenant.tenant_id}/credentials")

    (tmp_path / "proof").write_text(private_key.pkcs8)
    assert holds_secret(tmp_path, needles(private_key)), "the search itself finds nothing"
    secrets = [*needles(private_key), token.encode()]
    for stack in (running.local, emulators):
        assert holds_secret(stack.state_dir, secrets) == []
    assert [answer.status for answer in answers] == [400, 400, 200]
    for answer in (*answers, listed):
        assert not any(secret.decode("latin-1") in str(answer.body) for secret in secrets)
    keys = (tenant.rest.headers["X-API-Key"], running.env["ADMIN_API_KEY"])
    logs = b"".join(path.read_bytes() for stack in (running.local, emulators) for path in stack.logs_dir.glob("*.log"))
    assert not any(key.encode() in logs for key in keys)


def test_a_blob_opens_under_its_own_name_only(running: Suite, sealed: tuple[Tenant, Tenant]) -> None:
    blob = "SELECT credential_id, encrypted_credentials FROM tenants.tenant_cloud_credentials WHERE tenant_id"
    mine, theirs = (running.query(f"{blob} = '{one.tenant_id}'")[0] for one in sealed)
    with grpc.insecure_channel(running.env["KMS_EMULATOR_HOST"]) as channel:
        kms = kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))

        def opened(ciphertext: bytes, tenant_id: str, credential_id: str) -> bytes:
            name = associated_data(tenant_id=tenant_id, provider="GCP", credential_id=credential_id)
            request = {"name": running.local.kms_key, "ciphertext": ciphertext, "additional_authenticated_data": name}
            plaintext: bytes = kms.decrypt(request=request).plaintext
            return plaintext

        assert b"service_account" in opened(mine["encrypted_credentials"], sealed[0].tenant_id, mine["credential_id"])
        with pytest.raises(InvalidArgument):
            opened(theirs["encrypted_credentials"], sealed[0].tenant_id, mine["credential_id"])


def test_a_swapped_blob_fails_the_run_and_tells_what_to_do(running: Suite, sealed: tuple[Tenant, Tenant]) -> None:
    victim, other = sealed
    running.query(
        "UPDATE tenants.tenant_cloud_credentials AS c SET encrypted_credentials = o.encrypted_credentials "
        f"FROM (SELECT encrypted_credentials FROM tenants.tenant_cloud_credentials WHERE tenant_id = '{other.tenant_id}') AS o "
        f"WHERE c.tenant_id = '{victim.tenant_id}'"
    )
    run = victim.finished(victim.start("2025-11-17"))
    assert run["status"] == "FAILED"
    assert "again" in run["error_message"]
