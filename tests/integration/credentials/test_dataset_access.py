"""Rights in a tenant's dataset, with BigQuery's IAM rules: a new dataset belongs to its creator alone."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core import exceptions as google
from google.cloud.bigquery import AccessEntry

from services.credentials.dataset_access import DatasetAccess
from services.credentials.datasets import TenantDatasets
from services.credentials.settings import CredentialsSettings
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import make_block
from services.platform.bootstrap import bootstrap
from services.platform.errors import Unavailable
from services.platform.settings import ServiceSettings
from tests.integration.credentials.conftest import DDL, Budget, Suite
from tests.integration.credentials.test_set_credentials import set_credentials
from tests.support.credentials.locations import Everywhere
from tests.support.credentials.samples import AWS
from tests.support.strict_bigquery import Iam, StrictBigQuery, strict_bigquery

CREDENTIALS, SUCCESSOR, EXECUTOR = (f"{name}@acme.iam.gserviceaccount.com" for name in ("credentials", "credentials-2", "executor"))
ACCESS = DatasetAccess(writers=(EXECUTOR,), owners=(CREDENTIALS, SUCCESSOR))
INSERT = make_block("insert_audit", "INSERT INTO x_meta_step_logs (log_id, tenant_id) VALUES ('a', 'b')", {})


def entry(role: str | None, kind: str, account: Any) -> AccessEntry:
    return AccessEntry(role=role, entity_type=kind, entity_id=account)


OWNERS = {CREDENTIALS: "OWNER", SUCCESSOR: "OWNER"}
ALL = {EXECUTOR: "WRITER", **OWNERS}


@pytest.mark.parametrize(
    ("there", "lacking"),
    [
        ([], ALL),
        ([("OWNER", "userByEmail", CREDENTIALS)], {EXECUTOR: "WRITER", SUCCESSOR: "OWNER"}),
        ([("READER", "userByEmail", EXECUTOR), ("WRITER", "userByEmail", CREDENTIALS)], ALL),
        # What is no account's own: the project's basic roles, groups, views.
        ([("OWNER", "specialGroup", "projectOwners"), ("WRITER", "groupByEmail", EXECUTOR)], ALL),
        ([(None, "view", {"projectId": "p", "datasetId": "d", "tableId": "v"}), ("WRITER", "userByEmail", EXECUTOR)], OWNERS),
        ([("roles/bigquery.dataEditor", "userByEmail", EXECUTOR.upper())], OWNERS),
        # Who may do more needs no less.
        ([("OWNER", "userByEmail", account) for account in (EXECUTOR, CREDENTIALS, SUCCESSOR)], {}),
    ],
)
def test_only_what_is_lacking_is_added(there: list[tuple[str | None, str, Any]], lacking: dict[str, str]) -> None:
    assert {one.entity_id: one.role for one in ACCESS.lacking(entry(*one) for one in there)} == lacking


def test_accounts_are_set_as_lists() -> None:
    settings = CredentialsSettings.model_validate({"dataset_writers": [EXECUTOR]})
    assert (settings.dataset_writers, settings.dataset_owners) == ((EXECUTOR,), ())
    with pytest.raises(ValueError, match="dataset_owners"):
        CredentialsSettings.model_validate({"dataset_owners": [f"serviceAccount:{EXECUTOR}"]})


@pytest.fixture
def strict(service_settings: ServiceSettings) -> Iterator[StrictBigQuery]:
    """BigQuery with IAM in front of the emulator: the roles that docs/google-cloud.md gives the accounts, and no others."""
    project = service_settings.project
    roles = {CREDENTIALS: {"bigquery.user"}, SUCCESSOR: {"bigquery.user"}, EXECUTOR: {"bigquery.jobUser"}}
    iam = Iam(roles={account: {project: given} for account, given in roles.items()})
    upstream = (service_settings.bigquery_emulator_host or "").removeprefix("http://")
    with strict_bigquery(StrictBigQuery(upstream=upstream, iam=iam)) as proxy:
        yield proxy


@pytest.fixture
def as_account(strict: StrictBigQuery, service_settings: ServiceSettings) -> Callable[[str], BigQuery]:
    """A process of one account."""
    return lambda account: BigQuery(
        service_settings.model_copy(update={"bigquery_emulator_host": strict.url_of(account)}), service="credentials"
    )


async def test_the_executor_may_write_where_credentials_made_a_place(
    bq: BigQuery, as_account: Callable[[str], BigQuery], process: Callable[..., Suite], tenant_id: str
) -> None:
    """From the start; in a dataset of before the setting, from the next SetCredentials on; and without a job more either time."""
    old = f"{tenant_id}_old"
    async with as_account(CREDENTIALS) as mine, as_account(EXECUTOR) as executor:
        await set_credentials(process(bq=mine), old, AWS, provider="AWS")
        with pytest.raises(google.Forbidden):
            await executor.query(INSERT, {}, dataset=executor.tenant(old))

        granting = process(bq=mine, access=ACCESS)
        spent = Budget()
        await set_credentials(granting, old, AWS, provider="AWS")
        assert sum(spent.jobs().values()) == 2
        spent = Budget()
        await set_credentials(granting, tenant_id, AWS, provider="AWS")
        assert sum(spent.jobs().values()) == 3
        for dataset in (old, tenant_id):
            await executor.query(INSERT, {}, dataset=executor.tenant(dataset))
    # And the account that takes the place of credentials' own may go on.
    async with as_account(SUCCESSOR) as successor:
        assert (await set_credentials(process(bq=successor, access=ACCESS), old, AWS, provider="AWS")).action == "UPDATED"


async def test_rights_that_are_there_are_not_granted_again(bq: BigQuery, tenant_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor taken from others; a list that somebody has changed meanwhile is read again."""
    datasets = TenantDatasets(bq, locations=Everywhere(), ddl=DDL, access=ACCESS)
    update, tries = bq.client.update_dataset, list[int]()

    def crossed(*args: Any, **options: Any) -> Any:
        tries.append(len(args[0].access_entries))
        if len(tries) == 1:
            raise google.PreconditionFailed("etag")  # type: ignore[no-untyped-call]
        return update(*args, **options)

    monkeypatch.setattr(bq.client, "update_dataset", crossed)
    await datasets.make(tenant_id, await datasets.look(tenant_id), location="US")
    assert len(tries) == 2
    others = entry("READER", "userByEmail", "auditor@acme.iam.gserviceaccount.com")
    there = bq.client.get_dataset(bq.tenant(tenant_id))
    there.access_entries = [others]
    update(there, ["access_entries"])

    again = await datasets.look(tenant_id)
    assert (again.dataset, again.tables, again.access) == (False, (), True)
    await datasets.make(tenant_id, again, location="US")
    assert not (await datasets.look(tenant_id)).access
    assert others in bq.client.get_dataset(bq.tenant(tenant_id)).access_entries

    def always(*_: Any, **__: Any) -> Any:
        raise google.PreconditionFailed("etag")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(bq.client, "update_dataset", always)
    with pytest.raises(Unavailable):
        await TenantDatasets(bq, locations=Everywhere(), ddl=DDL, access=DatasetAccess(writers=("other@acme",))).make(
            tenant_id, again, location="US"
        )


async def test_a_dataset_that_is_not_ours_to_share_still_serves(
    bq: BigQuery, as_account: Callable[[str], BigQuery], tenant_id: str
) -> None:
    """Made by an account that is gone: the one in its place may lack the right to grant, and have the others from the project."""
    async with as_account(CREDENTIALS) as first:
        access = DatasetAccess(writers=(SUCCESSOR,), owners=(CREDENTIALS,))
        made = TenantDatasets(first, locations=Everywhere(), ddl=DDL, access=access)
        await made.make(tenant_id, await made.look(tenant_id), location="US")
    async with as_account(SUCCESSOR) as successor:
        datasets = TenantDatasets(successor, locations=Everywhere(), ddl=DDL, access=ACCESS)
        missing = await datasets.look(tenant_id)
        assert missing.access
        await datasets.make(tenant_id, missing, location="US")
        await successor.query(INSERT, {}, dataset=successor.tenant(tenant_id))


async def test_the_bootstrap_needs_the_right_to_create_datasets_once(service_settings: ServiceSettings, strict: StrictBigQuery) -> None:
    """Again it may run as an account that only writes there: BigQuery refuses a create before it says that the dataset exists."""
    settings = service_settings.model_copy(update={"control_dataset": f"tenants_{uuid.uuid4().hex[:8]}"})

    def as_(account: str) -> BigQuery:
        return BigQuery(settings.model_copy(update={"bigquery_emulator_host": strict.url_of(account)}), service="bootstrap")

    async with as_(EXECUTOR) as later:
        with pytest.raises(google.Forbidden):
            await bootstrap(settings, later)
    async with as_(CREDENTIALS) as first:
        assert "tenant_profiles" in await bootstrap(settings, first)
        control = first.client.get_dataset(first.control())
        control.access_entries = [entry("OWNER", "userByEmail", CREDENTIALS), entry("WRITER", "userByEmail", EXECUTOR)]
        first.client.update_dataset(control, ["access_entries"])
    async with as_(EXECUTOR) as later:
        assert await bootstrap(settings, later) == []
