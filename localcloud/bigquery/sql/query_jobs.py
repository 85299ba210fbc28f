"""Runs a query job without the look-ups that only some statements need.

local-bigquery lists temporary tables before every job, although only a session's cursor is used for more than one job. For this DuckDB
lists all tables of all projects: a sixth of the CPU of a run's statements. It also makes the default dataset the connection's schema. Then
DuckDB looks there for every function, operator and type of every statement. This is rarely needed: translated SQL names its tables in full.
Only a project's own functions, and SQL that is translated in other ways, are found there.

Upstream would have to name functions in full, too.
"""

import re
from collections.abc import Callable
from typing import Any

import duckdb
from local_bigquery.catalog import metadata
from local_bigquery.engine import database
from local_bigquery.jobs import query
from local_bigquery.models import DatasetReference, Routine
from local_bigquery.sql import params, script
from local_bigquery.sql.translate import Context

from localcloud.bigquery.sql.statements import OTHERS
from localcloud.bigquery.version import require_known_version

MAKING = re.compile(r"\b(?:function|procedure|call|execute|view|model|schema|index|policy|policies)\b", re.IGNORECASE)
"""What may make something in the default dataset, or call it there. (Text in quotes may say so, too: then it is as before.)"""

_execute: Callable[..., Any] = query.execute


def install() -> None:
    """Replaces `query.execute`. RuntimeError if local-bigquery is not the known version."""
    require_known_version()
    query.execute = execute


def execute(
    cursor: duckdb.DuckDBPyConnection, project: str, job: str | None, config: Any, *, dry_run: bool = False, session: Any = None
) -> Any:
    """`query.execute`: runs a script, or a single statement. Returns statistics, those of a script's statements, and where the rows are."""
    text, default = config.query or "", config.defaultDataset or DatasetReference()
    own = default.projectId or project
    if session or MAKING.search(text) or OTHERS.search(text) or metadata.list_(Routine, own):
        return _execute(cursor, project, job, config, dry_run, session)
    database.attach(own)
    names, values = params.bind(config.queryParameters or [])
    system = {"current_job_id": job, "script.job_id": job, "session_id": None, "time_zone": "UTC"}
    context = Context(own, default.datasetId, names, values, system=system)
    statements = script.parse_script(text)
    return query._execute(cursor, project, job, config, dry_run, False, context, statements)  # noqa: FBT003, SLF001 - the second half of it
