"""Flow 1 inside the service: the response, the rows written, and the number of statements."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from convergence.credentials.v1 import credential_service_pb2 as messages
from convergence.credentials.v1 import sealed_credential_service_pb2 as sealed_messages
from google.cloud import bigquery
from google.protobuf import struct_pb2

from services.credentials.datasets import META_TABLES
from services.credentials.payloads import to_plaintext
from services.credentials.providers import Provider
from services.platform.access.caller import Caller, set_caller
from services.platform.bigquery.client import BigQuery
from services.platform.errors import FailedPrecondition, Internal, InvalidArgument, NotFound
from services.platform.kms.client import Kms
from services.platform.kms.credential_aad import associated_data
from tests.integration.credentials.conftest import Budget, Suite, Tables
from tests.support.counting import jobs
from tests.support.credentials.samples import AWS, AZURE, SLACK, WEBHOOK, Rsa, gcp

FIRST = {"create_meta_tables": 1, "insert_credential": 1, "insert_audit_row": 1}
"""Besides auth's `fix_location`: four in all."""
LATER = {"update_credential": 1, "insert_audit_row": 1}
"""On a young dataset. On an old one the audit row is streamed, and the credentials looked up."""
LATER_STILL = {"find_credential": 1, "update_credential": 1}


async def set_credentials(
    suite: Suite, tenant_id: str, credentials: dict[str, Any], *, provider: str = "GCP", user_id: str | None = "alice"
) -> messages.SetCredentialsResponse:
    set_caller(Caller(tenant_id=tenant_id, user_id=user_id))
    struct = struct_pb2.Struct()
    struct.update(credentials)
    request = messages.SetCredentialsRequest(tenant_id=tenant_id, provider=provider, credentials=struct)
    return await suite.servicer.SetCredentials(request, None)


async def test_created_then_updated(credentials: Suite, process: Callable[..., Suite], tables: Tables, tenant_id: str, rsa: Rsa) -> None:
    """Four jobs the first time, auth's included, two later; the row, the audit rows and both answers are as flow 1 says."""
    spent = Budget()
    first = await set_credentials(credentials, tenant_id, gcp(rsa), provider="gcp")

    assert first == messages.SetCredentialsResponse(
        tenant_id=tenant_id,
        provider="GCP",
        action="CREATED",
        dataset_status="CREATED",
        tables_created=["x_meta_pipeline_runs", "x_meta_step_logs", "x_meta_dq_results"],
        message="GCP credentials added successfully",
    )
    assert spent.jobs() == FIRST

    spent = Budget()
    second = await set_credentials(credentials, tenant_id, gcp(rsa, client_id="7"), user_id="bob")

    assert second == messages.SetCredentialsResponse(
        tenant_id=tenant_id,
        provider="GCP",
        action="UPDATED",
        dataset_status="ALREADY_EXISTS",
        tables_created=[],
        message="GCP credentials updated successfully",
    )
    assert spent.jobs() == LATER

    spent = Budget()
    third = await set_credentials(process(), tenant_id, gcp(rsa, client_id="8"), user_id="carol")

    assert (third.action, spent.jobs()) == ("UPDATED", LATER_STILL)

    [row] = await tables.stored(tenant_id)
    assert (row["provider"], row["created_by_user_id"], row["updated_by_user_id"]) == ("GCP", "alice", "carol")
    assert row["created_at"] < row["updated_at"] <= datetime.now(UTC)
    assert "/cryptoKeyVersions/" in row["kms_key_version"]
    audit = await tables.audit(tenant_id)
    assert [(entry["action"], entry["user_id"], entry["provider"], entry["tenant_id"]) for entry in audit] == [
        ("CREDENTIAL_ADDED", "alice", "GCP", tenant_id),
        ("CREDENTIAL_UPDATED", "bob", "GCP", tenant_id),
        ("CREDENTIAL_UPDATED", "carol", "GCP", tenant_id),
    ]
    assert await tables.names(tenant_id) == set(META_TABLES)


async def test_the_blob_opens_under_its_own_name_only(credentials: Suite, kms: Kms, tables: Tables, tenant_id: str, rsa: Rsa) -> None:
    """What the executor is handed opens to exactly what was checked; moved to another tenant, provider or row it does not."""
    other = f"{tenant_id}_other"
    await set_credentials(credentials, tenant_id, gcp(rsa))
    await set_credentials(credentials, other, gcp(rsa))
    request = sealed_messages.GetSealedCredentialRequest(tenant_id=tenant_id, provider="gcp")
    mine = await credentials.sealed.GetSealedCredential(request, None)
    [theirs] = await tables.stored(other)
    name = {"tenant_id": mine.tenant_id, "provider": mine.provider, "credential_id": mine.credential_id}

    assert await kms.decrypt(mine.encrypted_credentials, associated_data(**name)) == to_plaintext(Provider.GCP, gcp(rsa))
    assert b"PRIVATE KEY" not in mine.encrypted_credentials
    for wrong in (name | {"tenant_id": other}, name | {"provider": "AWS"}, name | {"credential_id": theirs["credential_id"]}):
        with pytest.raises(Internal):
            await kms.decrypt(mine.encrypted_credentials, associated_data(**wrong))
    with pytest.raises(Internal):
        await kms.decrypt(theirs["encrypted_credentials"], associated_data(**name))


async def test_providers_side_by_side_and_forgotten_one_by_one(credentials: Suite, tables: Tables, tenant_id: str, rsa: Rsa) -> None:
    """One entry a provider, by name, without the secret; deleting one leaves the others and the dataset."""
    for provider, sent in (("GCP", gcp(rsa)), ("azure", AZURE), ("Aws", AWS), ("slack", SLACK), ("WEBHOOK", WEBHOOK)):
        await set_credentials(credentials, tenant_id, sent, provider=provider, user_id=None)
    asked = messages.ListCredentialsRequest(tenant_id=tenant_id)

    listed = (await credentials.servicer.ListCredentials(asked, None)).credentials

    assert [entry.provider for entry in listed] == ["AWS", "AZURE", "GCP", "SLACK", "WEBHOOK"]
    assert all(entry.tenant_id == tenant_id and entry.HasField("created_at") and entry.kms_key_version for entry in listed)
    assert not any(entry.HasField("updated_at") or entry.HasField("created_by_user_id") for entry in listed)

    set_caller(Caller(tenant_id=tenant_id, user_id="carol"))
    forget = messages.DeleteCredentialsRequest(tenant_id=tenant_id, provider="aws")
    done = await credentials.servicer.DeleteCredentials(forget, None)

    assert (done.provider, done.action, done.message) == ("AWS", "DELETED", "AWS credentials deleted successfully")
    assert sorted(row["provider"] for row in await tables.stored(tenant_id)) == ["AZURE", "GCP", "SLACK", "WEBHOOK"]
    last = (await tables.audit(tenant_id))[-1]
    assert (last["action"], last["provider"], last["user_id"]) == ("CREDENTIAL_DELETED", "AWS", "carol")
    with pytest.raises(NotFound) as caught:
        await credentials.servicer.DeleteCredentials(forget, None)
    assert caught.value.reason == "CREDENTIALS_NOT_FOUND"


async def test_an_executor_without_credentials_gets_an_error_that_says_what_to_do(credentials: Suite, tenant_id: str) -> None:
    request = sealed_messages.GetSealedCredentialRequest(tenant_id=tenant_id, provider="GCP")

    with pytest.raises(FailedPrecondition) as caught:
        await credentials.sealed.GetSealedCredential(request, None)

    assert caught.value.reason == "CREDENTIALS_MISSING"
    assert f"POST them to /api/v1/tenants/{tenant_id}/credentials first" in caught.value.message


async def test_bad_input_reaches_neither_bigquery_nor_kms(
    credentials: Suite, tables: Tables, bq: BigQuery, tenant_id: str, rsa: Rsa
) -> None:
    spent = Budget()
    hostile: list[tuple[str, dict[str, Any], str]] = [
        ("IBM", gcp(rsa), "provider"),
        ("GCP", {}, "credentials.project_id"),
        ("GCP", gcp(rsa, private_key=None), "credentials.service_account_json.private_key"),
        ("GCP", gcp(rsa) | {"project_id": "x'; DROP TABLE tenant_cloud_credentials; --"}, "credentials.project_id"),
        ("GCP", gcp(rsa) | {"project_id": float("inf")}, "credentials.project_id"),
        ("AWS", AWS | {"secret_access_key": "x"}, "credentials.secret_access_key"),
        ("AZURE", AZURE | {"client_secret": 7}, "credentials.client_secret"),
        ("SLACK", {"webhook_url": "http://hooks.slack.com/services/x"}, "credentials.webhook_url"),
        ("WEBHOOK", WEBHOOK | {"signing_secret": "short"}, "credentials.signing_secret"),
    ]
    for provider, sent, field in hostile:
        with pytest.raises(InvalidArgument) as caught:
            await set_credentials(credentials, tenant_id, sent, provider=provider)
        assert caught.value.field == field

    assert spent.jobs() == {}
    assert await tables.stored(tenant_id) == []
    assert tenant_id not in {dataset.dataset_id for dataset in bq.client.list_datasets()}


async def test_64_kib_and_not_a_byte_more(credentials: Suite, tenant_id: str, rsa: Rsa) -> None:
    """The size is that of what was sent, whatever of it would be kept."""

    def padded(bytes_over: int) -> dict[str, Any]:
        struct, sent = struct_pb2.Struct(), gcp(rsa, padding="x" * 60_000)
        struct.update(sent)
        missing = 64 * 1024 + bytes_over - struct.ByteSize()
        return gcp(rsa, padding="x" * (60_000 + missing))

    done = await set_credentials(credentials, tenant_id, padded(0))

    assert done.action == "CREATED"
    for too_much in (padded(1), padded(200_000)):
        with pytest.raises(InvalidArgument) as caught:
            await set_credentials(credentials, tenant_id, too_much)
        assert caught.value.message == "credentials: use at most 64 KiB."


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"managed-by": "convergence"},
        {"managed-by": "convergence", "tenant": "another"},
        {"managed-by": "terraform", "tenant": "{tenant_id}"},
    ],
)
async def test_a_dataset_that_is_not_ours_is_refused(
    credentials: Suite, tables: Tables, bq: BigQuery, tenant_id: str, labels: dict[str, str]
) -> None:
    """Never adopted, whichever account made it; and then nothing is stored."""
    foreign = bigquery.Dataset(bq.tenant(tenant_id))
    foreign.labels = {name: value.format(tenant_id=tenant_id) for name, value in labels.items()}
    bq.client.create_dataset(foreign)

    with pytest.raises(FailedPrecondition) as caught:
        await set_credentials(credentials, tenant_id, AWS, provider="AWS")

    assert caught.value.reason == "DATASET_NOT_OURS"
    assert await tables.stored(tenant_id) == []
    assert await tables.names(tenant_id) == set()


async def test_our_dataset_says_whose_it_is(credentials: Suite, bq: BigQuery, rsa: Rsa, tenant_id: str) -> None:
    """Also for the longest tenant id, which has a character more than a label may have."""
    longest = tenant_id + "x" * (64 - len(tenant_id))

    await set_credentials(credentials, longest, gcp(rsa))
    again = await set_credentials(credentials, longest, gcp(rsa))

    dataset = bq.client.get_dataset(bq.tenant(longest))
    assert dataset.labels == {"managed-by": "convergence", "tenant": longest[:63]}
    assert dataset.location == "US"
    assert again.dataset_status == "ALREADY_EXISTS"


async def test_tables_that_were_lost_are_made_again(credentials: Suite, tables: Tables, bq: BigQuery, tenant_id: str, rsa: Rsa) -> None:
    """Only those; and to a table just made, the audit row goes by DML."""
    await set_credentials(credentials, tenant_id, gcp(rsa))
    for table in ("x_meta_step_logs", "x_meta_dq_results"):
        bq.client.delete_table(f"{bq.tenant(tenant_id)}.{table}")
    spent = Budget()

    healed = await set_credentials(credentials, tenant_id, gcp(rsa))

    assert (healed.action, healed.dataset_status) == ("UPDATED", "ALREADY_EXISTS")
    assert list(healed.tables_created) == ["x_meta_step_logs", "x_meta_dq_results"]
    assert spent.jobs() == {"create_meta_tables": 1, "update_credential": 1, "insert_audit_row": 1}
    assert [entry["action"] for entry in await tables.audit(tenant_id)] == ["CREDENTIAL_UPDATED"]


async def test_of_two_rows_of_one_credential_the_newest_counts(
    credentials: Suite, tables: Tables, kms: Kms, tenant_id: str, rsa: Rsa
) -> None:
    """What two processes leave that were first at the same moment: one logical credential, in every reader and after every change."""
    await set_credentials(credentials, tenant_id, gcp(rsa))
    [row] = await tables.stored(tenant_id)
    name = associated_data(tenant_id=tenant_id, provider="GCP", credential_id=row["credential_id"])
    newer = await kms.encrypt(json.dumps({"newer": True}).encode(), name)
    at = row["created_at"] + timedelta(milliseconds=5)
    await tables.duplicate(tenant_id, encrypted=newer.ciphertext, provider="GCP", credential_id=row["credential_id"], at=at)
    asked = sealed_messages.GetSealedCredentialRequest(tenant_id=tenant_id, provider="GCP")

    found = await credentials.sealed.GetSealedCredential(asked, None)
    assert await kms.decrypt(found.encrypted_credentials, name) == b'{"newer": true}'
    assert len(await credentials.store.list_all(tenant_id)) == 1

    assert (await set_credentials(credentials, tenant_id, gcp(rsa))).action == "UPDATED"
    found = await credentials.sealed.GetSealedCredential(asked, None)
    assert await kms.decrypt(found.encrypted_credentials, name) == to_plaintext(Provider.GCP, gcp(rsa))
    assert len(await credentials.store.list_all(tenant_id)) == 1
    await credentials.changes.delete(tenant_id, Provider.GCP, user_id=None)
    assert await tables.stored(tenant_id) == []


async def test_a_run_reads_its_credentials_once_unless_they_change(
    credentials: Suite, process: Callable[..., Suite], kms: Kms, tenant_id: str, rsa: Rsa
) -> None:
    """Changed by the same process, or by another one that announces nothing. That there are none is never assumed."""
    request = sealed_messages.GetSealedCredentialRequest(tenant_id=tenant_id, provider="AWS")

    async def secret() -> bytes:
        found = await credentials.sealed.GetSealedCredential(request, None)
        name = associated_data(tenant_id=tenant_id, provider="AWS", credential_id=found.credential_id)
        return await kms.decrypt(found.encrypted_credentials, name)

    with pytest.raises(FailedPrecondition):
        await secret()
    await set_credentials(credentials, tenant_id, AWS, provider="AWS")
    first, before = await secret(), jobs("find_sealed_credentials")
    assert [await secret() for _ in range(3)] == [first] * 3
    assert jobs("find_sealed_credentials") == before

    for number, other in enumerate((process(), credentials)):
        corrected = AWS | {"secret_access_key": f"{number}" * 40}
        await set_credentials(other, tenant_id, corrected, provider="AWS")
        assert await secret() == to_plaintext(Provider.AWS, corrected) != first
    assert jobs("find_sealed_credentials") - before == 2
