"""What is put into the tables, with SQL: no API would create so much."""

from pathlib import Path
from typing import Final

from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import load_tables
from services.platform.bigquery.sql import load_blocks
from services.platform.settings import ServiceSettings

RUNS: Final = 10_000
DAYS: Final = 1_095
SERVICES: Final = 40
"""Of each provider, each with a row a day."""
TENANTS: Final = 2_000
CHANGES: Final = 2_000
"""In the last week: as many rows as a bill that was corrected."""
SQL: Final = load_blocks(Path(__file__).with_name("rows.sql"))
SECONDS: Final = 300.0


async def fill_tenant(tenant_id: str, settings: ServiceSettings) -> None:
    """Runs, and costs with their ledger, for a tenant whose dataset exists."""
    async with BigQuery(settings, service="bench") as bq:
        dataset = bq.tenant(tenant_id)
        for table in load_tables(settings.configs_dir / "bigquery" / "tenant").values():
            await bq.query(table.create, {}, dataset=dataset, seconds=SECONDS)
        await bq.query(SQL["runs"], {"tenant": tenant_id, "runs": RUNS}, dataset=dataset, seconds=SECONDS)
        for name in ("costs", "ledger"):
            await bq.query(SQL[name], {"days": DAYS, "services": SERVICES}, dataset=dataset, seconds=SECONDS)
        await bq.query(SQL["changes"], {"changes": CHANGES, "services": SERVICES}, dataset=dataset, seconds=SECONDS)


async def fill_fleet(settings: ServiceSettings) -> None:
    """Tenants with plans, keys and usage, and their runs of the last week."""
    async with BigQuery(settings, service="bench") as bq:
        await bq.query(SQL["fleet"], {"tenants": TENANTS, "runs": RUNS}, dataset=bq.control(), seconds=SECONDS)
