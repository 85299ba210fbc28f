"""ListCostDays and ListCostChanges, on a ledger with a hole and on many changes."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

from convergence.executor.v1 import cost_pb2
from convergence.executor.v1 import cost_service_pb2 as messages
from google.cloud import bigquery

from services.executor.servicers.cost import CostServicer
from services.platform.bigquery.client import BigQuery
from tests.integration.executor.costs.conftest import HOLE

NO_CONTEXT: Any = None
SERVICES = ("BigQuery", "Compute Engine", "", None)


async def test_days_have_their_state_and_holes_are_named(servicer: CostServicer, costs_tenant: str) -> None:
    """The ledger begins on 1 September, lacks HOLE, and ends on 27 November; it is the 28th."""
    asked: dict[str, Any] = {"tenant_id": costs_tenant, "start_date": "2025-08-30", "end_date": "2025-12-02"}
    listed = await servicer.ListCostDays(messages.ListCostDaysRequest(**asked), NO_CONTEXT)

    assert [day.date for day in listed.days][:2] == ["2025-09-01", "2025-09-02"]
    assert len(listed.days) == 87
    first = listed.days[0]
    assert (first.source, first.state, first.state_rule, first.row_count) == ("gcp", "FINAL", "by the calendar", 10)
    assert [(total.currency, total.amount) for total in first.sums] == [("USD", "1.5")]
    [source] = listed.sources
    assert (source.first_day, source.open, source.settling, source.final) == ("2025-09-01", 4, 53, 30)
    assert list(source.holes) == [HOLE.isoformat()] == list(listed.summary.holes)
    # 28 November to 2 December are not over; 30 and 31 August are before all that is known.
    assert (listed.summary.open, listed.summary.settling, listed.summary.final, listed.summary.unknown) == (9, 53, 30, 2)
    assert listed.summary.behind == 3
    assert listed.summary.as_of.ToDatetime(UTC) == datetime(2025, 11, 28, 6, tzinfo=UTC)

    costs = await servicer.GetCosts(messages.GetCostsRequest(**asked), NO_CONTEXT)
    assert costs.days == listed.summary
    other = await servicer.ListCostDays(messages.ListCostDaysRequest(**asked, source="aws"), NO_CONTEXT)
    assert (list(other.days), list(other.sources)) == ([], [])


def changes(random: Random, count: int) -> list[dict[str, Any]]:
    made = {}
    for _ in range(count):
        moment = datetime(2025, 11, random.randint(1, 5), random.randint(0, 3), tzinfo=UTC)
        row = {
            "source": random.choice(("gcp", "aws")),
            "usage_date": f"2025-10-{random.randint(1, 9):02}",
            "service": random.choice(SERVICES),
            "currency": random.choice(("USD", "EUR")),
            "after_final": random.choice((True, False, None)),
            "changed_at": moment.isoformat(),
            "pipeline_logging_id": "a-run",
        }
        before, after = Decimal(random.randint(0, 10**6)) / 10**4, Decimal(random.randint(0, 10**6)) / 10**4
        amounts = {"cost_before": f"{before}", "cost_after": f"{after}", "delta": f"{after - before}", "is_first_load": False}
        made[tuple(str(row[name] or "") for name in ("source", "usage_date", "service", "currency", "changed_at"))] = row | amounts
    return list(made.values())


async def test_changes_come_page_by_page_each_once_and_as_filtered(servicer: CostServicer, costs_tenant: str, bq: BigQuery) -> None:
    rows = changes(Random(4), 300)
    table = f"{bq.tenant(costs_tenant)}.x_meta_cost_changes"

    def load(_: float) -> None:
        config = bigquery.LoadJobConfig(schema=bq.client.get_table(table).schema, write_disposition="WRITE_TRUNCATE")
        bq.client.load_table_from_json(rows, table, job_config=config).result()

    await bq.call("load", load)

    async def listed(size: int, **asked: Any) -> list[cost_pb2.CostChange]:
        found, token = list[cost_pb2.CostChange](), ""
        while True:
            request = messages.ListCostChangesRequest(tenant_id=costs_tenant, page_size=size, page_token=token, **asked)
            page = await servicer.ListCostChanges(request, NO_CONTEXT)
            found += page.changes
            token = page.next_page_token
            if not token:
                return found

    def expected(keep: Any) -> list[tuple[str, ...]]:
        kept = [row for row in rows if keep(row)]
        kept.sort(key=lambda row: json.dumps([row["source"], row["usage_date"], row["service"] or "", row["currency"]]))
        kept.sort(key=lambda row: row["changed_at"], reverse=True)
        return [
            (row["source"], row["usage_date"], row["service"] or "", row["currency"], str(Decimal(row["delta"]).normalize()))
            for row in kept
        ]

    def read(found: list[cost_pb2.CostChange]) -> list[tuple[str, ...]]:
        return [(one.source, one.date, one.service, one.currency, str(Decimal(one.delta).normalize())) for one in found]

    assert read(await listed(41)) == expected(bool)
    assert read(await listed(200, service="BigQuery", source="gcp")) == expected(
        lambda row: row["service"] == "BigQuery" and row["source"] == "gcp"
    )
    assert read(await listed(0, after_final=True)) == expected(lambda row: row["after_final"] is True)
    assert read(await listed(200, after_final=False)) == expected(lambda row: not row["after_final"])
    between = {
        "start_date": "2025-10-02",
        "end_date": "2025-10-03",
        "changed_from": "2025-11-02",
        "changed_before": "2025-11-04T02:00:00+01:00",
    }
    until = datetime(2025, 11, 4, 1, tzinfo=UTC)
    assert read(await listed(7, **between)) == expected(
        lambda row: "2025-10-02" <= row["usage_date"] <= "2025-10-03" and "2025-11-02" <= row["changed_at"] < until.isoformat()
    )
