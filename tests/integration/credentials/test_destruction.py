"""The end of a tenant inside credentials: nothing that opens its clouds is left, whatever is stored at the same moment."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from convergence.credentials.v1 import destruction_service_pb2 as messages
from google.cloud import bigquery

from services.credentials.servicers.destruction import DestructionServicer
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.errors import FailedPrecondition
from tests.integration.credentials.conftest import Suite, Tables
from tests.integration.credentials.test_set_credentials import set_credentials
from tests.support.credentials.samples import SLACK, WEBHOOK, Rsa, gcp


async def destroy(suite: Suite, tenant_id: str, *, delete_dataset: bool = False) -> tuple[list[str], str]:
    request = messages.DestroyTenantDataRequest(tenant_id=tenant_id, delete_dataset=delete_dataset)
    done = await DestructionServicer(suite.changes, suite.exports).DestroyTenantData(request, None)
    return list(done.providers), done.dataset


async def close(bq: BigQuery, tenant_id: str) -> None:
    """As auth does, before anything is destroyed."""
    sql = "INSERT INTO tenant_profiles (tenant_id, status) VALUES (@tenant_id, 'OFFBOARDED')"
    await bq.query(make_block("test_close", sql, {"tenant_id": "STRING"}), {"tenant_id": tenant_id}, dataset=bq.control())


async def has_dataset(bq: BigQuery, tenant_id: str) -> bool:
    return await bq.call("test_datasets", lambda left: tenant_id in {one.dataset_id for one in bq.client.list_datasets(timeout=left)})


async def test_the_rows_are_gone_and_then_the_dataset(
    credentials: Suite, process: Callable[..., Suite], bq: BigQuery, tables: Tables, tenant_id: str, rsa: Rsa
) -> None:
    """Another tenant's stay. The tenant's own log says what was deleted; a repeated call has nothing more to do."""
    another = f"{tenant_id}_b"
    for tenant in (tenant_id, another):
        await set_credentials(credentials, tenant, gcp(rsa))
    await set_credentials(credentials, tenant_id, SLACK, provider="SLACK")
    known = process()
    await known.store.find_sealed(tenant_id, "GCP")
    await close(bq, tenant_id)

    assert await destroy(credentials, tenant_id) == (["GCP", "SLACK"], "KEPT")

    assert await tables.stored(tenant_id) == []
    assert await known.store.find_sealed(tenant_id, "GCP") is None
    deleted = {row["provider"] for row in await tables.audit(tenant_id) if row["action"] == "CREDENTIAL_DELETED"}
    assert deleted == {"GCP", "SLACK"}
    assert await destroy(credentials, tenant_id) == ([], "KEPT")
    assert await destroy(credentials, tenant_id, delete_dataset=True) == ([], "DELETED")
    assert await destroy(credentials, tenant_id, delete_dataset=True) == ([], "ABSENT")
    assert await destroy(credentials, tenant_id) == ([], "ABSENT")
    assert (await has_dataset(bq, tenant_id), await has_dataset(bq, another), len(await tables.stored(another))) == (False, True, 1)


async def test_another_owners_dataset_is_never_deleted(credentials: Suite, bq: BigQuery, tables: Tables, tenant_id: str) -> None:
    """The call says so, before it has deleted anything; without the dataset it does the rest."""
    foreign = bigquery.Dataset(bq.tenant(tenant_id))
    foreign.labels = {"managed-by": "somebody-else"}
    await bq.call("test_create", lambda left: bq.client.create_dataset(foreign, timeout=left))
    await tables.duplicate(tenant_id, encrypted=b"x", provider="GCP", credential_id="c", at=datetime.now(UTC))
    with pytest.raises(FailedPrecondition) as refused:
        await destroy(credentials, tenant_id, delete_dataset=True)
    assert (refused.value.reason, len(await tables.stored(tenant_id))) == ("DATASET_NOT_OURS", 1)
    assert await destroy(credentials, tenant_id) == (["GCP"], "ABSENT")
    assert await has_dataset(bq, tenant_id)


async def test_what_is_stored_after_the_closing_is_taken_back(credentials: Suite, bq: BigQuery, tables: Tables, tenant_id: str) -> None:
    """The call began before, and reaches the table when all is deleted: the dataset that it has made goes, too."""
    await close(bq, tenant_id)
    with pytest.raises(FailedPrecondition) as refused:
        await set_credentials(credentials, tenant_id, WEBHOOK, provider="WEBHOOK")
    assert refused.value.reason == "TENANT_OFFBOARDED"
    assert (await tables.stored(tenant_id), await has_dataset(bq, tenant_id)) == ([], False)


async def test_nothing_is_left_of_what_is_stored_at_the_same_moment(
    process: Callable[..., Suite], bq: BigQuery, tables: Tables, tenant_id: str
) -> None:
    """Three processes store for the first time, replace, and destroy; every call ends with its own answer."""
    one, two, three = (process() for _ in range(3))
    await set_credentials(one, tenant_id, SLACK, provider="SLACK")

    async def end() -> None:
        await close(bq, tenant_id)
        await destroy(three, tenant_id)

    stored = [
        set_credentials(at, tenant_id, sent, provider=name) for at in (one, two) for name, sent in (("SLACK", SLACK), ("WEBHOOK", WEBHOOK))
    ]
    answers = await asyncio.gather(*stored, end(), return_exceptions=True)

    assert {answer.reason for answer in answers if isinstance(answer, FailedPrecondition)} <= {"TENANT_OFFBOARDED"}
    assert not [answer for answer in answers if isinstance(answer, Exception) and not isinstance(answer, FailedPrecondition)]
    assert await tables.stored(tenant_id) == []
