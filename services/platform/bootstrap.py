"""Creates the control dataset with its tables and views, and adds new columns to existing tables. Run it before each deployment; running it
again changes nothing: `python -m services.platform.bootstrap`.
"""

import asyncio

from google.cloud import bigquery

from services.platform import log
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import Table, load_tables, load_views
from services.platform.bigquery.errors import NotFound
from services.platform.bigquery.jobs import NO_RETRY
from services.platform.settings import ServiceSettings

SECONDS = 60.0


async def bootstrap(settings: ServiceSettings, bq: BigQuery) -> list[str]:
    """Brings the control dataset up to the DDL in `configs/bigquery/control`. Returns what it created, e.g. `["tenant_profiles"]`, or
    `["tenant_profiles.status"]` for an added column.
    """
    dataset = bigquery.Dataset(bq.control())
    dataset.location = settings.location
    dataset.labels = {"managed-by": "convergence"}
    try:
        # Looked up first: to create it, BigQuery demands the right to create datasets even if the dataset exists.
        await bq.call(
            "get_dataset", lambda timeout: bq.client.get_dataset(dataset.reference, timeout=timeout, retry=NO_RETRY), seconds=SECONDS
        )
    except NotFound:
        await bq.call(
            "create_dataset",
            lambda timeout: bq.client.create_dataset(dataset, exists_ok=True, timeout=timeout, retry=NO_RETRY),
            seconds=SECONDS,
        )
    there = await bq.call("list_tables", lambda timeout: {table.table_id for table in bq.client.list_tables(bq.control(), timeout=timeout)})
    made = []
    folder = settings.configs_dir / "bigquery" / "control"
    for name, table in load_tables(folder).items():
        if name in there:
            made += await _add_columns(bq, table)
        else:
            await bq.query(table.create, {}, dataset=bq.control(), seconds=SECONDS)
            made.append(name)
    for name, view in load_views(folder).items():
        # Replaced each time: a view has no columns to add, only a newer text.
        await bq.query(view.create(bq.control()), {}, dataset=bq.control(), seconds=SECONDS)
        made += [] if name in there else [name]
    return made


async def _add_columns(bq: BigQuery, table: Table) -> list[str]:
    known = await bq.call(
        "get_table", lambda timeout: {field.name for field in bq.client.get_table(f"{bq.control()}.{table.name}", timeout=timeout).schema}
    )
    missing = [column for column in table.columns if column not in known]
    if missing:
        await bq.query(table.add_columns(missing), {}, dataset=bq.control(), seconds=SECONDS)
    return [f"{table.name}.{column}" for column in missing]


async def main() -> None:
    """The command line entry point."""
    settings = ServiceSettings()
    log.configure("bootstrap", settings.log_level, project=settings.project)
    async with BigQuery(settings, service="bootstrap") as bq:
        made = await bootstrap(settings, bq)
    print(f"{bq.control()}: {', '.join(made) if made else 'up to date'}")


if __name__ == "__main__":
    asyncio.run(main())
