"""Says when a table was last changed, as BigQuery does: `lastModifiedTime` of tables.get moves with every change of its rows.

local-bigquery moves it only with what the API changes of the table itself, so a client that looks there for whether rows have changed never
finds that they have. DuckLake knows the time of each commit, and which tables it wrote to.
"""

from collections.abc import Callable
from typing import Any

from local_bigquery.catalog import tables
from local_bigquery.engine import database
from local_bigquery.models import Table

from localcloud.bigquery import catalog
from localcloud.bigquery.version import require_known_version

_get: Callable[..., Table] = tables.get


def install() -> None:
    """Replaces `tables.get`. RuntimeError if it is another version than this was written for."""
    require_known_version()
    # Its callers look it up by name at every call.
    tables.get = get


def get(project: str, dataset: str, table: str, *args: Any) -> Table:
    """`tables.get`: tables.get of the API."""
    found = _get(project, dataset, table, *args)
    moved = last_write(project, dataset, table)
    return found.replace(lastModifiedTime=str(max(moved, int(found.lastModifiedTime or 0)))) if moved else found


def last_write(project: str, dataset: str, table: str) -> int:
    """When rows of the table were last written or deleted, in milliseconds since 1970; 0: never, or it is no table of DuckLake."""
    lake = catalog.metadata_of(project)
    if lake is None:
        return 0
    written_to = database.fetch(
        f"SELECT table_id FROM {lake}.ducklake_table AS tab JOIN {lake}.ducklake_schema AS schema USING (schema_id) "  # noqa: S608
        "WHERE schema_name = ? AND table_name = ? AND tab.end_snapshot IS NULL AND schema.end_snapshot IS NULL",
        [dataset, table],
    )
    moments = [
        moment
        for (table_id,) in written_to
        for (moment,) in database.fetch(
            f"SELECT CAST(epoch_ms(snapshot_time) AS BIGINT) FROM {lake}.ducklake_snapshot "  # noqa: S608
            f"WHERE snapshot_id = (SELECT max(snapshot_id) FROM {lake}.ducklake_snapshot_changes "
            "WHERE contains(changes_made || ',', ?))",
            [f":{table_id},"],
        )
    ]
    return max(moments, default=0)
