"""When a question is answered from memory, when it is read again, and what is read then: from our own statement counters."""

import asyncio
from datetime import date
from typing import Any

import pytest
from convergence.executor.v1 import cost_service_pb2 as messages

from services.executor.servicers.cost import CostServicer
from services.platform.bigquery.client import BigQuery
from services.platform.errors import InvalidArgument
from tests.integration.executor.costs.conftest import MakeServicer
from tests.support.counting import jobs
from tests.support.executor.published import Charge, publish
from tests.support.executor.tenant import Tenant

FIRST, SECOND = date(2025, 11, 17), date(2025, 11, 18)
NO_CONTEXT: Any = None


def about(tenant: Tenant, day: date = FIRST, **more: Any) -> messages.GetCostsRequest:
    return messages.GetCostsRequest(tenant_id=tenant.tenant_id, start_date=str(day), end_date=str(day), group_by=["service"], **more)


async def cost_of(servicer: CostServicer, asked: messages.GetCostsRequest) -> list[tuple[str, str]]:
    return [(row.group["service"], row.cost) for row in (await servicer.GetCosts(asked, NO_CONTEXT)).costs]


async def test_an_unchanged_question_costs_nothing_until_one_of_its_days_is_published_again(
    servicer: CostServicer, tenant: Tenant, bq: BigQuery
) -> None:
    await publish(bq, tenant.tenant_id, FIRST, Charge(amount="1.5"))
    asked = about(tenant)
    assert await cost_of(servicer, asked) == [("Compute Engine", "1.5")]

    before = jobs()
    assert await cost_of(servicer, asked) == [("Compute Engine", "1.5")]
    assert jobs() == before, "the same question again sends no job at all"

    await publish(bq, tenant.tenant_id, SECOND, Charge(amount="7"))
    costs, ledgers = jobs("costs"), jobs("ledger_days")
    assert await cost_of(servicer, asked) == [("Compute Engine", "1.5")]
    assert (jobs("costs") - costs, jobs("ledger_days") - ledgers) == (0, 1), "another day: the ledger is read, no cost"

    at = await publish(bq, tenant.tenant_id, FIRST, Charge(amount="2"), version=2, state="SETTLING")
    answer = await servicer.GetCosts(asked, NO_CONTEXT)
    assert [row.cost for row in answer.costs] == ["2"]
    assert answer.days.as_of.ToDatetime() == at.replace(tzinfo=None)
    assert (answer.days.open, answer.days.settling) == (0, 1)
    assert jobs("costs") - costs == 1


async def test_rows_that_change_without_the_ledger_are_read_again(servicer: CostServicer, tenant: Tenant, bq: BigQuery) -> None:
    """By hand, or by a release that kept no ledger."""
    await publish(bq, tenant.tenant_id, FIRST, Charge(amount="1.5"))
    assert await cost_of(servicer, about(tenant)) == [("Compute Engine", "1.5")]
    await tenant.rows("UPDATE focus_cost_daily SET BilledCost = 3 WHERE TRUE")
    assert await cost_of(servicer, about(tenant)) == [("Compute Engine", "3")]


async def test_callers_with_one_question_share_one_query(servicer: CostServicer, tenant: Tenant, bq: BigQuery) -> None:
    await publish(bq, tenant.tenant_id, FIRST, Charge(amount="1.5"))
    before = jobs()
    answers = await asyncio.gather(*(cost_of(servicer, about(tenant)) for _ in range(10)))
    assert answers == [[("Compute Engine", "1.5")]] * 10
    assert jobs() - before == 2, "the ledger and the costs, once each"


async def test_looks_are_remembered_for_as_long_as_is_set(make_servicer: MakeServicer, tenant: Tenant, bq: BigQuery) -> None:
    servicer = make_servicer(costs_known_seconds=60)
    await publish(bq, tenant.tenant_id, FIRST, Charge(amount="1.5"))
    assert await cost_of(servicer, about(tenant)) == [("Compute Engine", "1.5")]
    await publish(bq, tenant.tenant_id, FIRST, Charge(amount="2"), version=2)
    assert await cost_of(servicer, about(tenant)) == [("Compute Engine", "1.5")], "it may be so much behind"
    assert await cost_of(make_servicer(costs_known_seconds=60), about(tenant)) == [("Compute Engine", "2")]


async def test_pages_of_two_answers_are_never_put_together(servicer: CostServicer, tenant: Tenant, bq: BigQuery) -> None:
    await publish(bq, tenant.tenant_id, FIRST, *(Charge(amount=str(n), service=f"service {n}") for n in range(1, 6)))
    first = await servicer.GetCosts(about(tenant, page_size=2), NO_CONTEXT)
    assert [row.cost for row in first.costs] == ["5", "4"]
    second = await servicer.GetCosts(about(tenant, page_size=2, page_token=first.next_page_token), NO_CONTEXT)
    assert [row.cost for row in second.costs] == ["3", "2"]
    assert [total.amount for total in second.totals] == ["15"], "the sums are of all pages"

    other = about(tenant, page_size=2, page_token=first.next_page_token, metric="list")
    with pytest.raises(InvalidArgument, match="page_token: belongs to another question"):
        await servicer.GetCosts(other, NO_CONTEXT)
    await publish(bq, tenant.tenant_id, FIRST, *(Charge(amount=str(n), service=f"service {n}") for n in range(2, 7)), version=2)
    with pytest.raises(InvalidArgument, match="Begin again"):
        await servicer.GetCosts(about(tenant, page_size=2, page_token=second.next_page_token), NO_CONTEXT)


async def test_a_tenant_without_tables_has_no_costs_and_one_without_a_ledger_unknown_days(
    servicer: CostServicer, tenant: Tenant, tenant_id: str, bq: BigQuery
) -> None:
    before = jobs("costs") + jobs("invoice_sums")
    for unknown in (tenant_id, tenant.tenant_id):
        asked: dict[str, Any] = {"tenant_id": unknown, "start_date": "2025-11-17", "end_date": "2025-11-18"}
        costs = await servicer.GetCosts(messages.GetCostsRequest(**asked), NO_CONTEXT)
        assert (list(costs.costs), costs.days.unknown, costs.days.HasField("as_of")) == ([], 2, False)
        assert not (await servicer.ListCostDays(messages.ListCostDaysRequest(**asked), NO_CONTEXT)).days
        assert not (await servicer.ListCostChanges(messages.ListCostChangesRequest(tenant_id=unknown), NO_CONTEXT)).changes
        invoices = messages.ListInvoicesRequest(tenant_id=unknown, start_month="2025-11", end_month="2025-11")
        assert not (await servicer.ListInvoices(invoices, NO_CONTEXT)).invoices
    assert jobs("costs") + jobs("invoice_sums") == before

    await publish(bq, tenant.tenant_id, FIRST, Charge(amount="1.5"))
    await tenant.rows("DROP TABLE x_meta_cost_days")
    answer = await servicer.GetCosts(about(tenant), NO_CONTEXT)
    assert [row.cost for row in answer.costs] == ["1.5"]
    assert (answer.days.unknown, answer.days.final) == (1, 0)
