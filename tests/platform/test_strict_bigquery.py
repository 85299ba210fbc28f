"""The proxy's rules, each shown on its own; and what our client makes of them."""

import threading
from contextlib import ExitStack

import pytest

from services.platform.bigquery import BigQuery
from services.platform.errors import Unavailable
from services.platform.settings import ServiceSettings
from services.platform.sql import Block, make_block
from tests.strict_bigquery import OUTSTANDING, RATE, RUNNING, Refused, StrictBigQuery, strict_bigquery

UPDATE = "UPDATE t SET a = 1 WHERE TRUE"
TRANSACTION = f"BEGIN TRANSACTION; {UPDATE}; COMMIT TRANSACTION;"


def rules(**changes: int) -> StrictBigQuery:
    return StrictBigQuery(upstream="nowhere", **changes)  # type: ignore[arg-type]


def refusal(proxy: StrictBigQuery, sql: str) -> str:
    with pytest.raises(Refused) as refused, proxy.statement(sql, "d"):
        pass
    return refused.value.message


def test_the_26th_statement_in_ten_seconds_is_refused_on_its_table_only() -> None:
    proxy = rules()
    for _ in range(RATE):
        with proxy.statement("INSERT INTO t (a) VALUES (1)", "d"):
            pass
    assert "too many DML statements" in refusal(proxy, UPDATE)
    with proxy.statement(UPDATE, "other"), proxy.statement("SELECT a FROM t", "d"):
        pass


def test_two_run_twenty_wait_and_one_more_is_refused() -> None:
    proxy, running, done = rules(rate=1000), threading.Semaphore(0), threading.Event()

    def mutate() -> None:
        with proxy.statement(UPDATE, "d"):
            running.release()
            done.wait(10)

    threads = [threading.Thread(target=mutate) for _ in range(OUTSTANDING)]
    for thread in threads:
        thread.start()
    for _ in range(RUNNING):
        assert running.acquire(timeout=5)
    while proxy._outstanding["d.t"] < OUTSTANDING:
        done.wait(0.01)
    assert not running.acquire(blocking=False), "the third waits"
    assert "outstanding" in refusal(proxy, UPDATE)
    done.set()
    for thread in threads:
        thread.join()


def test_streamed_rows_are_not_changed_and_of_two_transactions_one_is_cancelled() -> None:
    proxy = rules()
    with ExitStack() as stack:
        stack.enter_context(proxy.statement(TRANSACTION, "d"))
        assert "aborted due to concurrent update" in refusal(proxy, TRANSACTION)
    with proxy.statement(TRANSACTION, "d"):
        pass
    proxy.streamed("d", "t")
    assert "streaming buffer" in refusal(proxy, UPDATE)
    with proxy.statement("INSERT INTO t (a) VALUES (1)", "d"):
        pass


@pytest.fixture
def settings(service_settings: ServiceSettings) -> ServiceSettings:
    return service_settings.model_copy(update={"bigquery_deadline_seconds": 1.5})


def change(tenant_id: str) -> Block:
    return make_block("change", f"UPDATE tenant_profiles SET company_name = 'x' WHERE tenant_id = '{tenant_id}'", {})


async def test_refusals_of_bigquery_are_waited_out_or_told_in_our_words(bq: BigQuery, settings: ServiceSettings, tenant_id: str) -> None:
    """A budget of our own keeps below BigQuery's; where others have used that up, the caller hears UNAVAILABLE and none of its words."""
    upstream = (settings.bigquery_emulator_host or "").removeprefix("http://")
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


async def test_a_lost_answer_is_asked_for_again(settings: ServiceSettings, tenant_id: str) -> None:
    upstream = (settings.bigquery_emulator_host or "").removeprefix("http://")
    with strict_bigquery(StrictBigQuery(upstream=upstream, lose_every=2)) as proxy:
        patient = settings.model_copy(update={"bigquery_emulator_host": proxy.url, "bigquery_deadline_seconds": 20.0})
        async with BigQuery(patient, service="auth") as client:
            for _ in range(3):
                await client.query(change(tenant_id), {}, dataset=client.control())
    assert proxy.refused["lost"] == 2
