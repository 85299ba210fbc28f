"""Says when a table was created, as BigQuery does: always the same moment, also of a table that a load job or a query made.

local-bigquery stores a table's creation time only if something else is to be stored of it, and says otherwise that it was created just now.
Here it is known from the commit that made it.
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
    """`tables.defaults`: what is said of a table of which nothing is stored."""
    found = _defaults(project, dataset, table)
    if not catalog.is_project(project) or register.kind_of(project, dataset, table) != "TABLE":
        return found
    return found.replace(creationTime=str(commits.created(project, dataset, table)))
