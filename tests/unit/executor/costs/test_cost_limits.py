"""Questions that are too large: refused by BigQuery before it reads, and what the caller gets. Against a scripted BigQuery."""

import json
from collections.abc import Iterator
from datetime import date

import pytest

from services.executor.costs.compose import compose_question
from services.executor.costs.invoices import read_invoice_question
from services.executor.costs.looks import Looks
from services.executor.costs.question import Question
from services.executor.costs.store import CostStore
from services.platform.bigquery.client import BigQuery
from services.platform.errors import FailedPrecondition, Unavailable
from services.platform.settings import REPOSITORY, ServiceSettings
from tests.support import fake_bigquery as fakes
from tests.support.fake_bigquery import FakeBigQuery

TOO_MUCH = "Query exceeded limit for bytes billed: 10485760. 20971520 or higher required."
ASKED = compose_question(Question(first=date(2025, 11, 1), last=date(2025, 11, 30)))


@pytest.fixture
def fake() -> Iterator[FakeBigQuery]:
    with fakes.fake_bigquery(FakeBigQuery()) as server:
        yield server


@pytest.fixture
def bq(fake: FakeBigQuery) -> BigQuery:
    client = BigQuery(ServiceSettings(project="p", bigquery_emulator_host=fake.url), service="tests")
    client.locations.put("p.acme_corp", "US")
    return client


@pytest.fixture
def store(bq: BigQuery) -> CostStore:
    return CostStore(bq, ddl=REPOSITORY / "configs" / "bigquery" / "tenant", max_bytes=10_485_760)


async def test_a_question_that_would_read_too_much_is_refused_with_how_much(
    fake: FakeBigQuery, store: CostStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fakes.TEXTS, "bytesBilledLimitExceeded", TOO_MUCH)
    fake.faults["query"] += ["bytesBilledLimitExceeded"] * 2

    with pytest.raises(FailedPrecondition, match="would read 20,971,520 bytes, and the operator allows 10,485,760") as refused:
        await store.costs("acme_corp", ASKED)
    assert refused.value.metadata == {"bytes_required": "20971520", "bytes_allowed": "10485760"}
    question = read_invoice_question(start_month="2025-11", end_month="2025-11", billing_account_id="", used_from="")
    with pytest.raises(FailedPrecondition, match="used_from"):
        await store.invoice_sums("acme_corp", question)

    sent = [json.loads(body) for kind, body in fake.requests if kind == "query"]
    assert [request["maximumBytesBilled"] for request in sent] == ["10485760"] * 2, "each was asked once, with the limit"


async def test_a_table_that_is_gone_is_no_empty_answer(fake: FakeBigQuery, store: CostStore) -> None:
    fake.faults["query"] += ["notFound"]
    with pytest.raises(Unavailable):
        await store.costs("acme_corp", ASKED)


async def test_a_table_that_may_not_be_seen_may_exist(fake: FakeBigQuery, bq: BigQuery) -> None:
    fake.faults["table"] += ["accessDenied"]
    with pytest.raises(Unavailable):
        await Looks(bq, known_seconds=0).at("acme_corp", ["focus_cost_daily"])
    [look] = await Looks(bq, known_seconds=0).at("acme_corp", ["focus_cost_daily"])
    assert not look.exists
