"""Concurrent and interrupted calls: nothing is half-written, and the next call completes what is missing."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from services.credentials.credential import SealedCredential, new_credential_id
from services.credentials.payloads import to_plaintext
from services.credentials.providers import Provider
from services.credentials.set_credentials import CredentialChanges
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.errors import NotFound
from services.platform.errors import Unavailable
from services.platform.kms.client import Kms
from services.platform.kms.credential_aad import associated_data
from services.platform.settings import ServiceSettings
from tests.integration.credentials.conftest import Budget, Suite, Tables
from tests.support.credentials.samples import AWS, AWS_ROLE

NOBODY = "127.0.0.1:9"
"""An address where nothing listens."""

PLAIN = to_plaintext(Provider.AWS, AWS)


class FixedClock:
    """Stands still."""

    def now(self) -> datetime:
        return datetime(2025, 11, 17, 12, tzinfo=UTC)


def sealed(tenant_id: str, blob: bytes) -> SealedCredential:
    identity = new_credential_id(tenant_id=tenant_id, provider="AWS")
    return SealedCredential(credential_id=identity, tenant_id=tenant_id, provider="AWS", encrypted_credentials=blob, kms_key_version="v1")


async def test_many_first_calls_at_once(credentials: Suite, tables: Tables, tenant_id: str) -> None:
    """Within a process they queue: one makes the dataset and the row, the others replace it."""
    spent = Budget()
    done = await asyncio.gather(*(credentials.changes.set(tenant_id, Provider.AWS, PLAIN, user_id="alice") for _ in range(3)))

    assert sorted(one.created for one in done) == [False, False, True]
    assert sorted(len(one.tables_created) for one in done) == [0, 0, 3]
    assert len(await tables.stored(tenant_id)) == 1
    assert len(await tables.audit(tenant_id)) == 3
    assert spent.jobs()["insert_credential"] == 1


async def test_first_calls_in_two_processes(process: Callable[..., Suite], tables: Tables, kms: Kms, tenant_id: str) -> None:
    """Both are answered; whatever rows stand there are one credential, which opens to what one of the two had sent."""
    other = to_plaintext(Provider.AWS, AWS | AWS_ROLE)
    one, two = process(), process()
    await asyncio.gather(
        one.changes.set(tenant_id, Provider.AWS, PLAIN, user_id="alice"), two.changes.set(tenant_id, Provider.AWS, other, user_id="bob")
    )

    found = await one.store.find_sealed(tenant_id, "AWS")
    assert found
    name = associated_data(tenant_id=tenant_id, provider="AWS", credential_id=found.credential_id)
    assert await kms.decrypt(found.encrypted_credentials, name) in {PLAIN, other}
    assert {row["credential_id"] for row in await tables.stored(tenant_id)} == {new_credential_id(tenant_id=tenant_id, provider="AWS")}
    assert len(await one.store.list_all(tenant_id)) == 1
    assert {row["user_id"] for row in await tables.audit(tenant_id)} == {"alice", "bob"}


async def test_every_statement_may_be_sent_twice(credentials: Suite, bq: BigQuery, kms: Kms, tables: Tables, tenant_id: str) -> None:
    """Sent again after a lost reply, a first set is still CREATED; where another process was first, it is UPDATED."""
    changes = CredentialChanges(credentials.store, credentials.datasets, kms, FixedClock())

    assert await changes._write(None, sealed(tenant_id, b"first"), "alice") is True
    assert await changes._write(None, sealed(tenant_id, b"first"), "alice") is True
    assert [row["encrypted_credentials"] for row in await tables.stored(tenant_id)] == [b"first"]

    assert await credentials.changes._write(None, sealed(tenant_id, b"second"), "bob") is False
    [row] = await tables.stored(tenant_id)
    assert (row["encrypted_credentials"], row["created_by_user_id"], row["updated_by_user_id"]) == (b"second", "alice", "bob")


async def test_an_update_that_a_deletion_overtook_stores_all_the_same(credentials: Suite, tables: Tables, tenant_id: str) -> None:
    """Between its look-up and its write another process has deleted the row."""
    await credentials.changes._write(None, sealed(tenant_id, b"first"), "alice")
    known = await credentials.changes._known_id(tenant_id, Provider.AWS)
    await credentials.store.delete(tenant_id, "AWS")

    assert await credentials.changes._write(known, sealed(tenant_id, b"second"), "bob") is True
    assert [row["encrypted_credentials"] for row in await tables.stored(tenant_id)] == [b"second"]


async def test_without_kms_nothing_is_written(
    process: Callable[..., Suite], tables: Tables, bq: BigQuery, service_settings: ServiceSettings, tenant_id: str
) -> None:
    """Neither a row nor a dataset; and with KMS back, the same call works."""
    async with Kms(service_settings.model_copy(update={"kms_emulator_host": NOBODY, "kms_deadline_seconds": 0.3})) as gone:
        with pytest.raises(Unavailable) as caught:
            await process(kms=gone).changes.set(tenant_id, Provider.AWS, PLAIN, user_id=None)

    assert caught.value.reason == "KMS_UNAVAILABLE"
    assert await tables.stored(tenant_id) == []
    assert tenant_id not in {dataset.dataset_id for dataset in bq.client.list_datasets()}
    done = await process().changes.set(tenant_id, Provider.AWS, PLAIN, user_id=None)
    assert done.created


async def test_without_bigquery_a_call_says_so(process: Callable[..., Suite], service_settings: ServiceSettings, tenant_id: str) -> None:
    away = service_settings.model_copy(update={"bigquery_emulator_host": f"http://{NOBODY}", "bigquery_deadline_seconds": 0.3})
    async with BigQuery(away, service="tests") as gone:
        with pytest.raises(Unavailable) as caught:
            await process(bq=gone).changes.set(tenant_id, Provider.AWS, PLAIN, user_id=None)

    assert caught.value.reason == "BIGQUERY_UNAVAILABLE"


async def test_a_call_that_broke_off_after_the_dataset_is_continued(credentials: Suite, tables: Tables, tenant_id: str) -> None:
    await credentials.datasets.make(tenant_id, await credentials.datasets.look(tenant_id), location="US")

    done = await credentials.changes.set(tenant_id, Provider.AWS, PLAIN, user_id="alice")

    assert (done.created, done.dataset_status, done.tables_created) == (True, "ALREADY_EXISTS", ())
    assert [row["action"] for row in await tables.audit(tenant_id)] == ["CREDENTIAL_ADDED"]


async def test_who_hangs_up_does_not_escape_the_audit(credentials: Suite, tables: Tables, tenant_id: str) -> None:
    """The steps of a call run to their end, whether or not somebody waits for the answer."""
    call = asyncio.create_task(credentials.changes.set(tenant_id, Provider.AWS, PLAIN, user_id="mallory"))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.gather(*credentials.changes._running)

    assert len(await tables.stored(tenant_id)) == 1
    assert [row["user_id"] for row in await tables.audit(tenant_id)] == ["mallory"]


class RefusesStreams(BigQuery):
    """As BigQuery may do for some minutes after a table was made; the emulator never does."""

    async def stream(self, *arguments: object, **options: object) -> None:
        raise NotFound("Table was just made")  # type: ignore[no-untyped-call]


async def test_a_table_that_refuses_streaming_gets_its_audit_row_by_dml(
    process: Callable[..., Suite], tables: Tables, service_settings: ServiceSettings, tenant_id: str
) -> None:
    async with RefusesStreams(service_settings, service="tests") as bq:
        suite = process(bq=bq)
        for user in ("alice", "bob"):
            await suite.changes.set(tenant_id, Provider.AWS, PLAIN, user_id=user)

    assert [row["user_id"] for row in await tables.audit(tenant_id)] == ["alice", "bob"]


async def test_credentials_can_be_deleted_without_a_dataset(credentials: Suite, tables: Tables, bq: BigQuery, tenant_id: str) -> None:
    """Somebody has dropped it; the secret goes all the same."""
    await credentials.changes.set(tenant_id, Provider.AWS, PLAIN, user_id=None)
    bq.client.delete_dataset(bq.tenant(tenant_id), delete_contents=True)

    await credentials.changes.delete(tenant_id, Provider.AWS, user_id=None)

    assert await tables.stored(tenant_id) == []
