"""A rotation to its end: a new primary version, the job that moves what older ones encrypted, and the end of the old version."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.cloud import bigquery, kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport
from structlog.testing import capture_logs

from services.credentials.credential import SealedCredential, new_credential_id
from services.credentials.reencrypt.job import Reencryption
from services.credentials.reencrypt.store import CiphertextMove, KeyVersionStore
from services.credentials.store import CredentialStore
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables, load_views
from services.platform.bigquery.sql import make_block
from services.platform.clock import SystemClock
from services.platform.errors import Internal, Unavailable
from services.platform.kms.client import Kms
from services.platform.kms.connection import KeyVersionUnusable
from services.platform.kms.credential_aad import associated_data
from services.platform.settings import ServiceSettings

SET_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Vault:
    """A table and a key of a test's own."""

    settings: ServiceSettings
    bq: BigQuery
    kms: Kms
    admin: kms_v1.KeyManagementServiceClient
    store: CredentialStore

    @property
    def versions(self) -> KeyVersionStore:
        return KeyVersionStore(self.bq)

    async def set(self, tenant_id: str, secret: str, provider: str = "SLACK") -> SealedCredential:
        """What SetCredentials stores; it replaces what is there."""
        identity = new_credential_id(tenant_id=tenant_id, provider=provider)
        sealed = await self.kms.encrypt(secret.encode(), aad(tenant_id, provider))
        row = SealedCredential(
            credential_id=identity,
            tenant_id=tenant_id,
            provider=provider,
            encrypted_credentials=sealed.ciphertext,
            kms_key_version=sealed.key_version,
        )
        if not (await self.store.insert(row, user_id="alice", at=SET_AT, passed=None)).is_new:
            await self.store.update(row, user_id="bob", at=datetime.now(UTC), passed=None)
        return row

    async def opened(self, tenant_id: str, provider: str = "SLACK") -> tuple[str, str]:
        """The secret, and the number of the version that encrypted it."""
        found = await CredentialStore(self.bq).find_sealed(tenant_id, provider)
        assert found is not None
        secret = await self.kms.decrypt(found.encrypted_credentials, aad(tenant_id, provider))
        return secret.decode(), (found.kms_key_version or "").rpartition("/")[2]

    def rotate(self) -> None:
        number = self.admin.create_crypto_key_version(parent=self.settings.kms_key).name.rpartition("/")[2]
        self.admin.update_crypto_key_primary_version(name=self.settings.kms_key, crypto_key_version_id=number)

    def disable(self, number: int) -> None:
        version = {"name": f"{self.settings.kms_key}/cryptoKeyVersions/{number}", "state": "DISABLED"}
        self.admin.update_crypto_key_version({"crypto_key_version": version, "update_mask": {"paths": ["state"]}})

    async def sql(self, text: str, **params: str) -> list[dict[str, Any]]:
        block = make_block("test_vault", text, dict.fromkeys(params, "STRING"))
        return (await self.bq.query(block, params, dataset=self.bq.control())).rows


def aad(tenant_id: str, provider: str) -> bytes:
    identity = new_credential_id(tenant_id=tenant_id, provider=provider)
    return associated_data(tenant_id=tenant_id, provider=provider, credential_id=identity)


@pytest.fixture
async def vault(service_settings: ServiceSettings) -> AsyncIterator[Vault]:
    name = f"vault_{uuid.uuid4().hex[:8]}"
    key = f"{service_settings.kms_key}-{name}"
    settings = service_settings.model_copy(update={"control_dataset": name, "kms_key": key})
    async with BigQuery(settings, service="tests") as bq, Kms(settings) as kms:
        await bq.call("test_create", lambda left: bq.client.create_dataset(bigquery.Dataset(bq.control()), timeout=left))
        ddl = settings.configs_dir / "bigquery" / "control"
        for table in ("tenant_cloud_credentials", "tenant_profiles"):
            await bq.query(load_tables(ddl)[table].create, {}, dataset=bq.control())
        await bq.query(load_views(ddl)["offboarded_tenants"].create(bq.control()), {}, dataset=bq.control())
        with grpc.insecure_channel(settings.kms_emulator_host or "") as channel:
            admin = kms_v1.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))
            ring, _, identity = key.partition("/cryptoKeys/")
            admin.create_crypto_key({"parent": ring, "crypto_key_id": identity, "crypto_key": {"purpose": "ENCRYPT_DECRYPT"}})
            yield Vault(settings=settings, bq=bq, kms=kms, admin=admin, store=CredentialStore(bq))


async def test_a_rotation_to_its_end(vault: Vault) -> None:
    """All providers move; what cannot be opened is reported and holds up no other; the second run finds nothing more to do. Then the old
    version is disabled, and everything still opens: also for a process that had read the old ciphertexts.
    """
    for number in range(3):
        await vault.set(f"t{number}", f"secret {number}")
        await vault.set(f"t{number}", f"hook {number}", "WEBHOOK")
    await vault.set("broken", "lost")
    await vault.sql("UPDATE tenant_cloud_credentials SET encrypted_credentials = b'junk' WHERE tenant_id = 'broken'")
    await vault.sql("UPDATE tenant_cloud_credentials SET kms_key_version = NULL WHERE tenant_id = 't1'")
    other_process = CredentialStore(vault.bq)
    before = await other_process.find_sealed("t0", "SLACK")
    vault.rotate()
    assert await vault.opened("t0") == ("secret 0", "1")
    await vault.set("new", "of the new version")

    with capture_logs() as logs:
        report = await Reencryption(vault.versions, vault.kms, SystemClock(), page=2).run()

    assert (report.examined, report.moved, report.overtaken, report.failed) == (7, 6, 0, {"SEAL_BROKEN": 1})
    assert report.primaries[0].endswith("/cryptoKeyVersions/2")
    assert [line["tenant_id"] for line in logs if line["event"] == "credential_not_reencrypted"] == ["broken"]
    assert "secret" not in str(logs)
    assert {await vault.opened(f"t{number}", provider) for number in range(3) for provider in ("SLACK", "WEBHOOK")} == {
        (f"{what} {number}", "2") for number in range(3) for what in ("secret", "hook")
    }
    again = await Reencryption(vault.versions, vault.kms, SystemClock(), page=2).run()
    assert (again.examined, again.moved, again.failed) == (1, 0, {"SEAL_BROKEN": 1})

    listed = (await vault.store.list_all("t0"))[0]
    assert (listed.created_at, listed.updated_at, listed.created_by_user_id) == (SET_AT, None, "alice")
    assert listed.sealed_at is not None
    assert listed.sealed_at > SET_AT
    assert (listed.sealed_days(listed.sealed_at), (await vault.store.list_all("broken"))[0].sealed_at) == (0, SET_AT)

    vault.disable(1)
    assert await vault.opened("t0") == ("secret 0", "2")
    after = await other_process.find_sealed("t0", "SLACK")
    assert before
    assert after
    assert await vault.kms.decrypt(after.encrypted_credentials, aad("t0", "SLACK")) == b"secret 0"
    with pytest.raises(KeyVersionUnusable):
        await vault.kms.decrypt(before.encrypted_credentials, aad("t0", "SLACK"))


class Overtaken(KeyVersionStore):
    """A table in which tenants act while the job holds what it has read."""

    def __init__(self, vault: Vault) -> None:
        super().__init__(vault.bq)
        self._vault = vault

    async def replace(self, moves: Sequence[CiphertextMove]) -> int:
        await self._vault.set("corrected", "the tenant's new one")
        await self._vault.store.delete("deleted", "SLACK")
        return await super().replace(moves)


async def test_what_a_tenant_does_meanwhile_wins(vault: Vault) -> None:
    for tenant_id in ("corrected", "deleted", "quiet"):
        await vault.set(tenant_id, f"of {tenant_id}")
    vault.rotate()

    report = await Reencryption(Overtaken(vault), vault.kms, SystemClock()).run()

    assert (report.examined, report.moved, report.overtaken, report.failed) == (3, 1, 2, {})
    assert await vault.opened("corrected") == ("the tenant's new one", "2")
    assert await vault.opened("quiet") == ("of quiet", "2")
    assert await vault.store.list_all("deleted") == []


async def test_two_rows_of_one_credential_both_move(vault: Vault) -> None:
    """As two processes leave them that were first at once: on one page, each by its own ciphertext, or both by the same one."""
    await vault.set("twice", "older")
    await vault.sql(
        "INSERT INTO tenant_cloud_credentials (credential_id, tenant_id, provider, encrypted_credentials, kms_key_version, created_at)"
        " SELECT credential_id, tenant_id, provider, FROM_BASE64(@blob), kms_key_version, TIMESTAMP '2026-01-02 00:00:00+00'"
        " FROM tenant_cloud_credentials WHERE tenant_id = 'twice'",
        blob=await _sealed(vault, "newer"),
    )
    await vault.set("unique", "one")
    await vault.set("alike", "one")
    await vault.sql("INSERT INTO tenant_cloud_credentials SELECT * FROM tenant_cloud_credentials WHERE tenant_id = 'alike'")
    vault.rotate()

    report = await Reencryption(vault.versions, vault.kms, SystemClock(), page=1).run()

    assert (report.examined, report.moved, report.overtaken) == (5, 5, 0)
    assert await vault.opened("twice") == ("newer", "2")
    assert {version: count for version, count in (await vault.versions.count()).items() if version} == {report.primaries[0]: 5}


async def _sealed(vault: Vault, secret: str) -> str:
    sealed = await vault.kms.encrypt(secret.encode(), aad("twice", "SLACK"))
    [row] = await vault.sql("SELECT TO_BASE64(FROM_HEX(@blob)) AS blob", blob=sealed.ciphertext.hex())
    return str(row["blob"])


class FailingKms(Kms):
    """KMS stops answering at one tenant's."""

    async def decrypt(self, ciphertext: bytes, name: bytes, *, key_version: str | None = None) -> bytes:
        if b"|t2|" in name:
            raise Unavailable("KMS_UNAVAILABLE", "KMS does not answer.")
        return await super().decrypt(ciphertext, name, key_version=key_version)


async def test_a_run_that_breaks_off_is_taken_up_by_the_next(vault: Vault) -> None:
    """What was moved stays moved, on the page that broke off as well."""
    for number in range(4):
        await vault.set(f"t{number}", f"secret {number}")
    vault.rotate()

    async with FailingKms(vault.settings) as failing:
        with pytest.raises(Unavailable):
            await Reencryption(vault.versions, failing, SystemClock(), page=2).run()
    assert [(await vault.opened(f"t{number}"))[1] for number in range(4)] == ["2", "2", "1", "2"]

    assert (await Reencryption(vault.versions, vault.kms, SystemClock(), page=2).run()).moved == 1
    assert await vault.opened("t2") == ("secret 2", "2")


async def test_without_a_usable_key_nothing_is_tried(vault: Vault) -> None:
    await vault.set("t0", "secret 0")
    vault.disable(1)
    with pytest.raises(Internal) as refused:
        await Reencryption(vault.versions, vault.kms, SystemClock()).run()
    assert refused.value.reason == "KMS_KEY_UNUSABLE"


async def test_the_command_reports_in_json(vault: Vault) -> None:
    """As the Kubernetes job runs it: 0 when nothing is left, 1 when something is."""
    await vault.set("t0", "secret 0")
    vault.rotate()

    async def run(**changes: str) -> tuple[int | None, dict[str, Any]]:
        environment = {
            **os.environ,
            "GOOGLE_CLOUD_PROJECT": vault.settings.project,
            "CONVERGENCE_CONTROL_DATASET": vault.settings.control_dataset,
            "CONVERGENCE_KMS_KEY": vault.settings.kms_key,
            "CONVERGENCE_MIN_KEY_VERSION": "2",
            "BIGQUERY_EMULATOR_HOST": vault.settings.bigquery_emulator_host or "",
            "KMS_EMULATOR_HOST": vault.settings.kms_emulator_host or "",
            **changes,
        }
        command = (sys.executable, "-m", "services.credentials.reencrypt")
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        return process.returncode, json.loads(out.splitlines()[-1])

    status, report = await run()
    assert (status, report["moved"], report["below_minimum"]) == (0, 1, 0)
    assert report["versions"] == {f"{vault.settings.kms_key}/cryptoKeyVersions/2": 1}
    status, report = await run(CONVERGENCE_KMS_KEY=f"{vault.settings.kms_key}-none")
    assert (status, report["error"]) == (1, "KMS_KEY_UNUSABLE")
