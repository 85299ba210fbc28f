"""The strict proxy before the emulator: what our client makes of its refusals. Its rules stand in test_strict_rules.py."""

import asyncio

import pytest
from google.api_core.exceptions import Forbidden
from google.cloud import bigquery

from services.platform.access.caller import set_caller
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.sql import Block, make_block
from services.platform.errors import Unavailable
from services.platform.settings import ServiceSettings
from tests.support.strict_bigquery import Iam, StrictBigQuery, strict_bigquery

MAKER, WORKER = "maker@p", "worker@p"


@pytest.fixture
def settings(service_settings: ServiceSettings) -> ServiceSettings:
    return service_settings.model_copy(update={"bigquery_deadline_seconds": 1.5})


@pytest.fixture
def upstream(service_settings: ServiceSettings) -> str:
    return (service_settings.bigquery_emulator_host or "").removeprefix("http://")


def through(settings: ServiceSettings, url: str, seconds: float = 20.0) -> BigQuery:
    """A process whose BigQuery stands at `url`."""
    return BigQuery(settings.model_copy(update={"bigquery_emulator_host": url, "bigquery_deadline_seconds": seconds}), service="auth")


def change(tenant_id: str) -> Block:
    return make_block("change", f"UPDATE tenant_profiles SET company_name = 'x' WHERE tenant_id = '{tenant_id}'", {})


async def test_refusals_of_bigquery_are_waited_out_or_reported_in_our_words(
    bq: BigQuery, settings: ServiceSettings, upstream: str, tenant_id: str
) -> None:
    """A budget of our own keeps below BigQuery's; where others have used that up, the caller hears UNAVAILABLE and none of its words."""
    set_caller(None)  # tests of one loop share its context, and an earlier one may have set a tenant's caller: a tenant would hear 429
    with strict_bigquery(StrictBigQuery(upstream=upstream, rate=5)) as proxy:
        for budget, refused in ((5, 0), (25, 1)):
            tight = settings.model_copy(update={"bigquery_emulator_host": proxy.url, "dml_statements_per_10_seconds": budget})
            proxy._begun.clear()
            async with BigQuery(tight, service="auth") as client:
                for _ in range(5):
                    await client.query(change(tenant_id), {}, dataset=client.control())
                with pytest.raises(Unavailable) as told:
                    await client.query(change(tenant_id), {}, dataset=client.control())
            assert "DML" not in told.value.message
            assert (proxy.refused["rateLimitExceeded"] > 0) == bool(refused)


async def test_a_lost_answer_is_asked_for_again(bq: BigQuery, settings: ServiceSettings, upstream: str, tenant_id: str) -> None:
    with strict_bigquery(StrictBigQuery(upstream=upstream, lose_every=2)) as proxy:
        async with through(settings, proxy.url) as client:
            for _ in range(3):
                await client.query(change(tenant_id), {}, dataset=client.control())
    assert proxy.refused["lost"] == 2


async def test_a_transaction_and_a_plain_statement_meet_and_both_are_done(
    bq: BigQuery, settings: ServiceSettings, upstream: str, tenant_id: str
) -> None:
    """The plain one waits for the transaction that is there, and cancels the one that comes; a statement takes its time."""
    insert = f"INSERT INTO tenant_profiles (tenant_id, status) VALUES ('{tenant_id}', 'ACTIVE')"
    script = make_block("script", f"BEGIN TRANSACTION; {change(tenant_id).sql}; {insert}; COMMIT TRANSACTION;", {})
    with strict_bigquery(StrictBigQuery(upstream=upstream, seconds=(0.2, 0.2))) as proxy:
        async with through(settings, proxy.url) as client:
            began = asyncio.get_running_loop().time()
            await asyncio.gather(*(client.query(block, {}, dataset=client.control()) for block in (script, script, change(tenant_id))))
            assert asyncio.get_running_loop().time() - began >= 0.4
    rows = await bq.query(
        make_block("rows", f"SELECT COUNT(*) AS n FROM tenant_profiles WHERE tenant_id = '{tenant_id}'", {}), {}, dataset=bq.control()
    )
    assert rows.rows == [{"n": 2}]
    assert proxy.aborted.total() == proxy.refused["invalidQuery"] > 0


async def test_an_account_does_only_what_it_was_given(bq: BigQuery, settings: ServiceSettings, upstream: str, tenant_id: str) -> None:
    """Each account comes by a URL of its own."""
    project = settings.project
    iam = Iam(roles={MAKER: {project: {"bigquery.user"}}, WORKER: {project: {"bigquery.jobUser"}}})
    name, table = f"{project}.{tenant_id}", make_block("table", "CREATE TABLE IF NOT EXISTS notes (a INT64)", {})
    write = make_block("write", "INSERT INTO notes (a) VALUES (1)", {})
    with strict_bigquery(StrictBigQuery(upstream=upstream, iam=iam, young_seconds=60.0)) as proxy:
        async with through(settings, proxy.url_of(MAKER)) as maker, through(settings, proxy.url_of(WORKER)) as worker:
            with pytest.raises(Forbidden, match=r"bigquery\.datasets\.create"):
                await worker.call("make", lambda timeout: worker.client.create_dataset(bq.control(), exists_ok=True, timeout=timeout))
            await maker.call("make", lambda timeout: maker.client.create_dataset(name, timeout=timeout))
            await maker.query(table, {}, dataset=name)
            for forbidden in (worker.query(write, {}, dataset=name), worker.stream(f"{name}.notes", [{"a": 2}], ["2"])):
                with pytest.raises(Forbidden, match="Access Denied"):
                    await forbidden
            dataset = await maker.call("get", lambda timeout: maker.client.get_dataset(name, timeout=timeout))
            dataset.access_entries = [
                bigquery.AccessEntry("OWNER", "userByEmail", MAKER),
                bigquery.AccessEntry("WRITER", "userByEmail", WORKER),
            ]
            await maker.call("grant", lambda timeout: maker.client.update_dataset(dataset, ["access_entries"], timeout=timeout))
            await worker.query(write, {}, dataset=name)
            await worker.stream(f"{name}.notes", [{"a": 3}], ["3"])
            rows = await worker.query(make_block("rows", "SELECT a FROM notes", {}), {}, dataset=name)
            await maker.call("drop", lambda timeout: maker.client.delete_dataset(name, delete_contents=True, timeout=timeout))
    assert rows.rows == [{"a": 1}], "a young table accepts what is streamed into it, and loses it"
    assert proxy.refused["swallowed"] == 1
    assert proxy.refused["accessDenied"] >= 3
