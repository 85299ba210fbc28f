"""Reads what is published in tenants' datasets, and writes what tenants enter."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from services.executor.costs.changes import ChangeFilter
from services.executor.costs.compose import MOST_ROWS, ComposedQuestion
from services.executor.costs.coverage import KnownDay
from services.executor.costs.invoices import EnteredAmount, InvoiceQuestion, InvoiceSums, to_sums
from services.executor.costs.looks import INVOICES
from services.executor.records import Period
from services.platform.bigquery import errors as bigquery
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import Block, load_blocks
from services.platform.bigquery.tenant_tables import TenantTables
from services.platform.errors import FailedPrecondition

SQL = load_blocks(Path(__file__).with_name("queries.sql"))
SECONDS = 45.0
"""Deadline of a statement that reads costs: less than the gateway's for a call."""


class CostStore:
    """One typed method a statement. All raise Unavailable if BigQuery does not answer in time. The tables that a method reads must exist:
    `Looks` tells.
    """

    def __init__(self, bq: BigQuery, *, ddl: Path, max_bytes: int) -> None:
        """`ddl`: the folder with the DDL of tenants' tables; `max_bytes`: the most that one statement may be billed."""
        self._bq, self._max_bytes = bq, max_bytes
        self._tables, self._ddl = TenantTables(bq), load_tables(ddl)

    async def costs(self, tenant_id: str, composed: ComposedQuestion) -> list[dict[str, Any]]:
        """The rows of a question. Raises FailedPrecondition if there are more than MOST_ROWS, or too many bytes to read."""
        return _bounded(await self._rows(composed.block, composed.values, tenant_id))

    async def invoice_sums(self, tenant_id: str, question: InvoiceQuestion) -> tuple[InvoiceSums, ...]:
        """The sums of a question about invoices. Raises as `costs` does."""
        params = question.params | {"row_limit": MOST_ROWS + 1}
        return to_sums(_bounded(await self._rows(SQL["invoice_sums"], params, tenant_id)))

    async def invoice_amounts(self, tenant_id: str) -> tuple[EnteredAmount, ...]:
        """All entered amounts that count."""
        return tuple(EnteredAmount.from_row(row) for row in await self._rows(SQL["invoice_amounts"], {}, tenant_id))

    async def ledger(self, tenant_id: str) -> tuple[KnownDay, ...]:
        """The whole ledger of days."""
        return tuple(KnownDay.from_row(row) for row in await self._rows(SQL["ledger_days"], {}, tenant_id))

    async def cost_days(self, tenant_id: str, period: Period, source: str | None) -> list[dict[str, Any]]:
        """The ledger's rows of a period, by day and source."""
        params = {"first_day": period.first, "last_day": period.last, "source": source}
        return await self._rows(SQL["list_cost_days"], params, tenant_id)

    async def cost_changes(self, tenant_id: str, wanted: ChangeFilter, *, limit: int) -> list[dict[str, Any]]:
        """At most `limit` changes, newest first."""
        return await self._rows(SQL["list_cost_changes"], wanted.params | {"row_limit": limit}, tenant_id)

    async def enter_amount(self, tenant_id: str, entry_id: str, entered: EnteredAmount) -> None:
        """Writes an entry, once. Raises FailedPrecondition if the tenant has no dataset."""
        try:
            await self._tables.ensure(tenant_id, self._ddl[INVOICES])
        except bigquery.NotFound as error:
            raise FailedPrecondition(
                "CREDENTIALS_MISSING", "This tenant has no dataset yet. Set credentials for a provider first, which makes it."
            ) from error
        params = {name: getattr(entered, name) for name in EnteredAmount.__dataclass_fields__} | {"entry_id": entry_id}
        await self._bq.query(SQL["insert_invoice_amount"], params, dataset=self._bq.tenant(tenant_id))

    async def _rows(self, block: Block, params: Mapping[str, object], tenant_id: str) -> list[dict[str, Any]]:
        dataset = self._bq.tenant(tenant_id)
        for is_last in (False, True):
            try:
                return (await self._bq.query(block, params, dataset=dataset, seconds=SECONDS, max_bytes=self._max_bytes)).rows
            except (bigquery.NotFound, bigquery.Forbidden) as error:
                # It was there a moment ago: dropped, or in another location than our jobs. That does not mean that there are no costs.
                raise bigquery.unavailable(block.name, error) from error
            except bigquery.BadRequest as error:
                if (needed := bigquery.bytes_required(error)) is not None:
                    raise self._too_many_bytes(needed) from error
                if is_last:
                    raise
                # A table may be older than a column that the block names. Checked after the error, so that it usually costs nothing.
                for table in block.read:
                    await self._tables.ensure(tenant_id, self._ddl[table])
        raise AssertionError("the second try returns or raises")

    def _too_many_bytes(self, needed: int) -> FailedPrecondition:
        how_much = f"{needed:,} bytes" if needed else "more"
        return FailedPrecondition(
            "COSTS_TOO_LARGE",
            f"This would read {how_much}, and the operator allows {self._max_bytes:,} for one question. Ask for fewer days, "
            "leave out tags, or, for invoices, set used_from.",
            metadata={"bytes_required": str(needed), "bytes_allowed": str(self._max_bytes)},
        )


def _bounded(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(rows) > MOST_ROWS:
        raise FailedPrecondition(
            "COSTS_TOO_LARGE",
            f"The answer has more than {MOST_ROWS:,} rows. Use top, a filter, a coarser granularity, fewer days or fewer dimensions.",
        )
    return rows
