"""Answers `FOR SYSTEM_TIME AS OF` from the current table, if its rows have not changed since that time.

A project's file has no earlier versions of a table (see `engine.files`). A query gets the rows of the requested time or an error, never
rows of another time.
"""

from datetime import UTC, datetime
from typing import Any

from local_bigquery.catalog import names
from local_bigquery.engine import database
from local_bigquery.errors import BigQueryError
from local_bigquery.sql.rules import NODE_RULES, tables
from sqlglot import exp

from localcloud.bigquery import commits
from localcloud.bigquery.version import require_known_version


def install() -> None:
    """Replaces the rule of local-bigquery. RuntimeError if it is another version, ValueError if it has no such rule."""
    require_known_version()
    NODE_RULES[NODE_RULES.index(tables.time_travel)] = time_travel


def time_travel(node: exp.Expression, context: Any) -> exp.Expression:
    """The table without the clause. BigQueryError `invalid` if its rows may have been different then."""
    if isinstance(node, exp.Table) and (version := node.args.get("version")):
        asked = _moment(version.expression)
        project, dataset, table = names.reference(node, context.project_id, context.dataset_id)
        if dataset is not None and commits.modified(project, dataset, table) > asked.timestamp() * 1000:
            where = names.label(project, dataset, table)
            raise BigQueryError("invalid", f"{where} has changed since {asked:%F %T.%f}, and the local BigQuery keeps no earlier versions.")
        node.set("version", None)
    return node


def _moment(asked: exp.Expression) -> datetime:
    """The time of a constant expression, UTC. The expression is DuckDB's already, because the other rules have been applied."""
    text = exp.cast(asked.copy(), exp.DataType.build("TIMESTAMPTZ")).sql("duckdb")
    try:
        ((found,),) = database.fetch(f"SELECT epoch_us({text})")
    except Exception as error:
        raise BigQueryError("invalid", "FOR SYSTEM_TIME AS OF takes a constant timestamp.") from error
    return datetime.fromtimestamp(found / 1_000_000, tz=UTC)
