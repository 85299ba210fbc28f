"""Reports when a table was created, as BigQuery does: always the same time, also for a table that a load job or a query created.

local-bigquery stores a table's creation time only together with other properties. Otherwise it reports the current time. Here the time
comes from the commit that created the table.
"""

from collections.abc import Callable

from local_bigquery.catalog import tables
from local_bigquery.models import Table

from localcloud.bigquery import catalog, commits
from localcloud.bigquery.engine import register
from localcloud.bigquery.version import require_known_version

_defaults: Callable[[str, str, str], Table] = tables.defaults


def install() -> None:
    """Replaces `tables.defaults`. RuntimeError if its callers do not look it up by name."""
    require_known_version()
    if "defaults" not in tables.load.__code__.co_names:
        raise RuntimeError("local-bigquery has changed: catalog.tables.load no longer calls defaults")
    tables.defaults = defaults


def defaults(project: str, dataset: str, table: str) -> Table:
    """`tables.defaults`: the description of a table without stored properties."""
    found = _defaults(project, dataset, table)
    if not catalog.is_project(project) or register.kind_of(project, dataset, table) != "TABLE":
        return found
    return found.replace(creationTime=str(commits.created(project, dataset, table)))
