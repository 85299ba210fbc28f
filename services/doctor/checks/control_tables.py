"""Whether the control dataset has all tables and columns that this release needs."""

from collections.abc import Collection, Mapping

from google.api_core import exceptions as google

from services.doctor.finding import Finding, NotChecked
from services.doctor.world import World
from services.platform.bigquery.client import BigQuery
from services.platform.bigquery.ddl import Table, load_tables, load_views
from services.platform.bigquery.errors import Forbidden, NotFound
from services.platform.errors import Unavailable

_MEND = "python -m services.platform.bootstrap   # before each deployment; on a laptop `make up` does it"


async def look(world: World) -> list[Finding]:
    """Reads the tables' metadata, which is free."""
    folder = world.settings.configs_dir / "bigquery" / "control"
    try:
        found = await _columns(world.bigquery)
    except Forbidden:
        raise NotChecked("this account may not list the control dataset: see roles, or look as another service") from None
    except (Unavailable, google.GoogleAPICallError) as error:
        raise NotChecked(f"BigQuery cannot be asked ({type(error).__name__})") from None
    return judge(world.bigquery.control(), load_tables(folder), set(load_views(folder)), found)


def judge(dataset: str, tables: Mapping[str, Table], views: Collection[str], found: Mapping[str, Collection[str]] | None) -> list[Finding]:
    """`found`: the columns by table or view; None: there is no dataset. Pure."""
    if found is None:
        text = f"There is no dataset {dataset}: no service can do anything."
        return [Finding(name="control-dataset-missing", subject=dataset, problem=text, mend=_MEND)]
    findings = [
        Finding(name="control-table-missing", subject=name, problem=f"{dataset} has no {name}: what needs it fails.", mend=_MEND)
        for name in sorted((tables.keys() | set(views)) - found.keys())
    ]
    for name, table in tables.items():
        if lacking := [column for column in table.columns if column not in found.get(name, table.columns)]:
            text = f"{dataset}.{name} lacks {', '.join(lacking)}, which this release reads or writes."
            findings.append(Finding(name="control-column-missing", subject=name, problem=text, mend=_MEND))
    return findings


async def _columns(bq: BigQuery) -> dict[str, set[str]] | None:
    def read(timeout: float) -> dict[str, set[str]]:
        listed = list(bq.client.list_tables(bq.control(), timeout=timeout))
        return {one.table_id: {field.name for field in bq.client.get_table(one.reference, timeout=timeout).schema} for one in listed}

    try:
        return await bq.call("doctor_tables", read)
    except NotFound:
        return None
