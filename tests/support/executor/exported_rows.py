"""Rows of exported files as the extract steps stage them, and the blocks of a template over them, on the emulator."""

import itertools
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from services.executor.sources.spool import SpoolRoom, spool
from services.executor.staging.shape import StagingShape, StagingTable, bind
from services.executor.staging.tables import StagingTables
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import Block, load_blocks
from services.platform.settings import REPOSITORY
from tests.support.executor.tenant import Tenant

SHAPES = {name: StagingShape.of(table) for name, table in load_tables(REPOSITORY / "configs" / "bigquery" / "staging").items()}
MONTH, NEXT_MONTH = date(2026, 5, 1), date(2026, 6, 1)
CHECKS = REPOSITORY / "configs" / "shared" / "focus_export_checks.sql"


def at(day: date, hour: int = 0) -> datetime:
    """An hour of a UTC day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour)


def focus_row(**changes: object) -> dict[str, Any]:
    """A row as an AWS FOCUS 1.2 export has it: an hour of an instance on 5 May 2026, on demand."""
    day = date(2026, 5, 5)
    row: dict[str, Any] = {
        "x_UsageDate": day,
        "BilledCost": Decimal("0.096"),
        "BillingAccountId": "111122223333",
        "BillingAccountName": "Example",
        "BillingAccountType": "Management Account",
        "BillingCurrency": "USD",
        "BillingPeriodStart": at(MONTH),
        "BillingPeriodEnd": at(NEXT_MONTH),
        "ChargeCategory": "Usage",
        "ChargeDescription": "$0.096 per On Demand Linux m5.large Instance Hour",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": at(day),
        "ChargePeriodEnd": at(day, 1),
        "ConsumedQuantity": 1.0,
        "ConsumedUnit": "Hrs",
        "ContractedCost": Decimal("0.096"),
        "ContractedUnitPrice": 0.096,
        "EffectiveCost": Decimal("0.096"),
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "ListCost": Decimal("0.096"),
        "ListUnitPrice": 0.096,
        "PricingCategory": "Standard",
        "PricingQuantity": 1.0,
        "PricingUnit": "Hrs",
        "ProviderName": "AWS",
        "PublisherName": "AWS",
        "RegionId": "eu-west-1",
        "RegionName": "EU (Ireland)",
        "ResourceId": "arn:aws:ec2:eu-west-1:444455556666:instance/i-0a1b2c3d",
        "ResourceType": "Instance",
        "ServiceCategory": "Compute",
        "ServiceName": "Amazon Elastic Compute Cloud",
        "ServiceSubcategory": "Virtual Machines",
        "SkuId": "9G23QA9CK3NU3BRY",
        "SkuPriceId": "9G23QA9CK3NU3BRY.JRTCKXETXF.6YS6EN2CT7",
        "SubAccountId": "444455556666",
        "SubAccountName": "Shop",
        "SubAccountType": "Member Account",
        "Tags": '{"team": "shop"}',
        "x_Provider": "AWS",
        "x_SourceId": "AWS/bills/focus/all",
        "x_FocusVersion": "1.2",
        "x_ProviderColumns": '{"x_ServiceCode": "AmazonEC2"}',
        "x_BillingPeriod": MONTH,
        "x_ManifestId": "m-1",
    }
    assert set(changes) <= set(SHAPES["x_staging_focus_export"].columns)
    return row | changes


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A tenant's dataset with a run's own staging tables."""

    tenant: Tenant
    staging: StagingTables
    folder: Path
    run: str = field(default_factory=lambda: str(uuid.uuid4()))

    async def stage(self, name: str, rows: Sequence[Mapping[str, Any]]) -> StagingTable:
        """A staging table with these rows, loaded as the extract steps do it; what a row does not have is NULL."""
        shape = SHAPES[name]
        assert not {key for row in rows for key in row} - set(shape.columns)
        table = shape.table(self.run, 1)
        full = [{key: row.get(key) for key in shape.columns} for row in rows]
        tables = [pa.Table.from_pylist(full, shape.arrow)]
        with spool(tables, shape.arrow, room=SpoolRoom(self.folder), tenant_id=self.tenant.tenant_id) as spooled:
            await self.staging.fill(self.tenant.tenant_id, table, spooled.file, spooled.size, within=timedelta(seconds=60))
        return table

    async def made(self, name: str) -> StagingTable:
        """An empty one."""
        table = SHAPES[name].table(self.run, 1)
        await self.staging.make(self.tenant.tenant_id, table)
        return table

    async def ask(self, block: Block, *tables: StagingTable, **params: object) -> list[dict[str, Any]]:
        """What a block answers."""
        bound = bind(block, tables)
        found = await self.tenant.bq.query_job(bound, params, dataset=self.tenant.bq.tenant(self.tenant.tenant_id), seconds=60)
        return [dict(row) for row in found.rows]

    async def judged(self, name: str, *tables: StagingTable, **params: object) -> dict[str, tuple[int, str]]:
        """A block of checks: failing rows and what was observed, by check."""
        block = blocks_of(CHECKS)[name]
        replaced = {"replaced_sources": ()} if "replaced_sources" in block.params else {}
        found = await self.ask(block, *tables, **{**replaced, **params})
        assert len({row["check_name"] for row in found}) == len(found)
        return {row["check_name"]: (row["failing_rows"], row["observed_value"]) for row in found}

    async def rows(self, table: StagingTable) -> list[dict[str, Any]]:
        """What it holds."""
        return await self.tenant.rows(f"SELECT * FROM {table.name}")


def blocks_of(path: Path) -> dict[str, Block]:
    """The blocks of a file."""
    return dict(load_blocks(path))


def sums(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The output `source_sums` of FOCUS rows."""

    def unit(row: Mapping[str, Any]) -> tuple[date, str]:
        return row["x_BillingPeriod"], row["BillingCurrency"]

    return [
        {
            "billing_period": period,
            "currency": currency,
            "row_count": len(some),
            "billed_cost": sum(row["BilledCost"] for row in some),
            "effective_cost": sum(row["EffectiveCost"] for row in some),
        }
        for (period, currency), group in itertools.groupby(sorted(rows, key=unit), unit)
        for some in [list(group)]
    ]


def as_json(value: object) -> Any:
    """JSON text, or what the client has made of a JSON column, as Python values."""
    return json.loads(value) if isinstance(value, str) else value
