"""GetCosts against a reference that is reckoned apart, on rows of several providers, currencies, months and tags."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from convergence.executor.v1 import cost_pb2
from convergence.executor.v1 import cost_service_pb2 as messages

from services.executor.servicers.cost import CostServicer
from tests.integration.executor.costs.conftest import ROWS, MakeServicer
from tests.support.executor.cost_rows import DAYS, FIRST, Asked, Expected, expected, questions, tag_name

NO_CONTEXT: Any = None


def request(tenant_id: str, asked: Asked, **page: Any) -> messages.GetCostsRequest:
    def named(name: str) -> str:
        return tag_name(name.removeprefix("tag:"), quoted=False) if name.startswith("tag:") else name

    return messages.GetCostsRequest(
        tenant_id=tenant_id,
        start_date=asked.first.isoformat(),
        end_date=asked.last.isoformat(),
        group_by=[named(name) for name in asked.group_by],
        filter=[f"{named(name)}={value}" for name, value in asked.filters],
        granularity=asked.granularity,
        metric=asked.metric,
        top=asked.top,
        **page,
    )


async def whole(servicer: CostServicer, tenant_id: str, asked: Asked, size: int = 200) -> list[cost_pb2.Cost]:
    """All pages."""
    found, token = list[cost_pb2.Cost](), ""
    while True:
        page = await servicer.GetCosts(request(tenant_id, asked, page_size=size, page_token=token), NO_CONTEXT)
        found += page.costs
        token = page.next_page_token
        if not token:
            return found


def read(asked: Asked, costs: list[cost_pb2.Cost]) -> Expected:
    assert all(set(cost.group) == (set() if cost.is_rest else set(asked.group_by)) for cost in costs)
    return [
        (
            cost.period,
            cost.currency,
            cost.is_rest,
            () if cost.is_rest else tuple(cost.group[name] for name in asked.group_by),
            Decimal(cost.cost),
            cost.groups,
        )
        for cost in costs
    ]


@pytest.mark.parametrize(("number", "shapes"), [(40, 6), (200, 24)], ids=["some", "two hundred"])
async def test_random_questions_are_answered_exactly(make_servicer: MakeServicer, costs_tenant: str, number: int, shapes: int) -> None:
    """Amounts, groups, the order, and the pages: to the last decimal."""
    servicer, asked = make_servicer(costs_known_seconds=60), questions(Random(2025), number, shapes=shapes)
    at_once = asyncio.Semaphore(4)

    async def ask(one: Asked) -> Expected:
        async with at_once:
            return read(one, await whole(servicer, costs_tenant, one))

    answers = await asyncio.gather(*map(ask, asked))

    wrong = [one for one, answer in zip(asked, answers, strict=True) if answer != expected(one, ROWS)]
    assert wrong == []
    assert sum(bool(answer) for answer in answers) > number * 3 // 4, "most questions are about something"
    assert sum(any(row[2] for row in answer) for answer in answers) > number // 10, "some have a rest"


@pytest.mark.parametrize(("given", "named"), [(["aws"], ["Amazon Web Services"]), (["GCP"], ["Google Cloud"]), (["Azure"], [])])
async def test_a_cloud_may_be_asked_for_by_the_name_that_credentials_and_pipelines_have(
    make_servicer: MakeServicer, costs_tenant: str, given: list[str], named: list[str]
) -> None:
    """Each cloud calls itself something else in ProviderName."""
    plain = Asked(
        first=FIRST, last=FIRST + timedelta(days=DAYS - 1), group_by=("provider",), filters=(), granularity="", metric="billed", top=0
    )
    asked = replace(plain, filters=tuple(("provider", value) for value in given))
    answer = read(asked, await whole(make_servicer(), costs_tenant, asked))
    wanted = replace(plain, filters=tuple(("provider", value) for value in named or ["none of these"]))
    assert answer == expected(wanted, ROWS)
    assert bool(answer) == bool(named)
