"""Says when a table was created, as BigQuery does: always the same moment, also of a table that a load job or a query made.

local-bigquery stores a table's creation time only if something else is to be stored of it, and says otherwise that it was created just now.
DuckLake knows the commit that created the table.
"""

from collections.abc import Callable

from local_bigquery.catalog import tables
from local_bigquery.engine import database
from local_bigquery.models import Table

from localcloud.bigquery import catalog
from localcloud.bigquery.version import require_known_version

_defaults: Callable[[str, str, str], Table] = tables.defaults


def install() -> None:
    """Replaces `tables.defaults`. RuntimeError if its callers do not look it up by name."""
    require_known_version()
    if "defaults" not in tables.load.__code__.co_names:
        raise RuntimeError("local-bigquery has changed: catalog.tables.load no longer calls defaults")
    tables.defaults = defaults


def defaults(project: str, dataset: str, table: str) -> Table:
    """`tables.defaults`: what is said of a table of which nothing is stored."""
    found = _defaults(project, dataset, table)
    lake = catalog.metadata_of(project)
    if lake is None:
        return found
    created = database.fetch(
        f"SELECT CAST(epoch_ms(snapshot_time) AS BIGINT) FROM {lake}.ducklake_table AS tab "  # noqa: S608
        f"JOIN {lake}.ducklake_schema AS schema USING (schema_id) JOIN {lake}.ducklake_snapshot ON snapshot_id = tab.begin_snapshot "
        "WHERE schema_name = ? AND table_name = ? AND tab.end_snapshot IS NULL AND schema.end_snapshot IS NULL",
        [dataset, table],
    )
    return found.replace(creationTime=str(created[0][0])) if created else found
