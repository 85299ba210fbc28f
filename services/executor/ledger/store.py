"""Reads the ledger of a tenant's dataset, and moves its states. The only caller of queries.sql."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from services.executor.ledger.days import Ledger, LedgerDay, Watermark, states_param
from services.executor.ledger.exports import KnownExport
from services.executor.records import Period
from services.executor.tenant_queries import TenantQueries
from services.platform.bigquery.sql import load_blocks

DAYS, SOURCES, CHANGES, EXPORTS = "x_meta_cost_days", "x_meta_cost_sources", "x_meta_cost_changes", "x_meta_exports"
BILLING: Final = "billing_cost_daily"
MARK: Final = ("source_table", "source_created_at", "watermark")
LISTED: Final = {
    DAYS: (
        *("source", "usage_date", "row_count", "sums", "changed_at", "version", "source_version", "focus_version", "state", "source_table"),
        *("source_created_at", "exported_to", "is_followed"),
    ),
    SOURCES: ("source", *MARK),
}
"""The columns that `read_ledger` reads, by table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedDay:
    """What is published of a day."""

    row_count: int
    sizes: Mapping[str | None, Decimal]
    """By currency, the sum of absolute costs before credits."""


class LedgerStore:
    """One typed method a statement. All raise Unavailable if BigQuery does not answer, NotFound if the tenant has no dataset."""

    def __init__(self, tenants: TenantQueries) -> None:
        self._tenants = tenants
        self._sql = load_blocks(Path(__file__).with_name("queries.sql"))

    async def read(self, tenant_id: str, source: str) -> Ledger:
        """Everything about a source; creates the tables if they are missing. The parts may be read at two moments, so a publish in between
        may show in only one of them. Nothing depends on this: a publish reads what it must know in its own transaction.

        A day with two rows was published twice, by two runs of an earlier release that did not see each other, and so its costs are there
        twice. It counts as not followed: then it is read as a whole, and replaced.
        """
        await self._tenants.ensure_for_step(tenant_id, (DAYS, SOURCES))
        if (listed := await self._tenants.listed(tenant_id, LISTED, spares="read_ledger")) is not None:
            days, marks = ([row for row in rows if row["source"] == source] for rows in listed)
        else:
            rows = (await self._tenants.run(self._sql["read_ledger"], {"source": source}, tenant_id)).rows
            days = [row for row in rows if row["usage_date"] is not None]
            marks = [row for row in rows if row["watermark"] is not None]
        entries = Counter(row["usage_date"] for row in days)
        return Ledger(
            days={
                (day := row["usage_date"]): LedgerDay.from_row(row | {"is_followed": row["is_followed"] and entries[day] == 1})
                for row in days
            },
            watermarks={row["source_table"]: Watermark(**{name: row[name] for name in MARK}) for row in marks},
        )

    async def move_states(self, tenant_id: str, source: str, ledger: Ledger, now: datetime) -> int:
        """Gives days the state that the passing of time has brought; returns how many. Without any, no statement is sent."""
        due = ledger.overdue_states(now)
        if not due:
            return 0
        states = [{**one, "version": ledger.days[day].version} for day, one in zip(sorted(due), states_param(due), strict=True)]
        return (await self._tenants.run(self._sql["move_states"], {"source": source, "states": states}, tenant_id)).affected

    async def exports(self, tenant_id: str, provider: str) -> dict[tuple[str, date], KnownExport]:
        """What is published of a provider's (upper-case) billing periods, by source id and the period's first day; creates the table if it
        is missing.
        """
        await self._tenants.ensure_for_step(tenant_id, [EXPORTS])
        rows = (await self._tenants.run(self._sql["read_exports"], {"provider": provider}, tenant_id)).rows
        return {(known.source_id, known.month): known for known in map(KnownExport.from_row, rows)}

    async def published(self, tenant_id: str, period: Period) -> dict[date, PublishedDay]:
        """What billing_cost_daily holds on these days; days without rows are absent."""
        await self._tenants.ensure_for_step(tenant_id, [BILLING])
        params = {"first_day": period.first, "last_day": period.last}
        rows, sizes = defaultdict[date, int](int), defaultdict[date, dict[str | None, Decimal]](dict)
        for row in (await self._tenants.run(self._sql["published_sizes"], params, tenant_id)).rows:
            rows[row["usage_date"]] += row["row_count"]
            sizes[row["usage_date"]][row["currency"]] = row["size"] or Decimal()
        return {day: PublishedDay(row_count=count, sizes=sizes[day]) for day, count in rows.items()}
