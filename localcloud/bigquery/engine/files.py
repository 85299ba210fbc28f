"""Keeps a project in a plain DuckDB file.

local-bigquery keeps it in DuckLake: a Parquet file for each INSERT, and a catalog in tables of its own. After every CREATE and DROP the
whole catalog is read again, and each version of it stays in memory. An INSERT takes 12 ms of CPU there and 0.5 ms here. With 200 tables, a
CREATE TABLE takes 96 ms there and 1 ms here, and the SELECT after it 70 ms and 0.7 ms. With 400 tables the process needs 6 GB there.
DuckLake's purpose, to see earlier versions of tables, is not needed here: see `sql.time_travel`.

Two transactions that change a table conflict: see `cursors`. A single statement is refused at once ("Conflict on update!") if it changes
rows that an open transaction has changed; in DuckLake the transaction was refused at its commit. BigQuery calls both a conflict of
concurrent changes, and clients retry.
"""

import functools
from pathlib import Path
from typing import Any

import duckdb
from local_bigquery.engine import database
from local_bigquery.settings import settings
from local_bigquery.sql import dialect, native

from localcloud.bigquery.engine.cursors import Watched
from localcloud.bigquery.version import require_known_version

SUFFIX = ".project"
BLOCK_BYTES = 65_536
"""A quarter of DuckDB's usual: it reserves a block for each column of a table that has rows since the last checkpoint. Ours have dozens of
columns, and most have few rows. With its smallest, 16 KB, a large table takes a quarter more CPU to write, and half more of the disk.
"""
RESULT_BLOCK_BYTES = 16_384
"""Block size for the results of queries: each has a table, and none is large."""

OPTIONS = f"(STORAGE_VERSION 'latest', BLOCK_SIZE {BLOCK_BYTES})"
RESULT_OPTIONS = f"(STORAGE_VERSION 'latest', BLOCK_SIZE {RESULT_BLOCK_BYTES})"
PROJECTS = "SELECT database_name FROM duckdb_databases() WHERE ends_with(path, ?) ORDER BY database_name"


class EarlierVersion(Exception):
    """The data were written by a version that kept projects in DuckLake."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} has been written by an earlier version: remove it, or start with another LOCALCLOUD_STATE_DIR")


def install() -> None:
    """Replaces how the database is opened. Before the first connection. RuntimeError if local-bigquery is not the known version."""
    require_known_version()
    # Their callers look them up by name at every call.
    database._connect, database._attach = connect, attach  # noqa: SLF001
    database.connection, database.projects = connection, projects


@functools.cache
def connect() -> duckdb.DuckDBPyConnection:
    """`database._connect`: attaches every project that has a file. Raises EarlierVersion."""
    own = settings.data_dir / "emulator.duckdb"
    if not own.exists():  # results of queries, a table each: with DuckDB's usual blocks a gigabyte after some hundred runs
        own.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as scratch:
            scratch.execute(f"ATTACH {_file(own)} AS emulator {RESULT_OPTIONS}")
    if any(settings.data_dir.glob("*.ducklake")):
        raise EarlierVersion(settings.data_dir)
    # Like the original, but without DuckLake's options: setting these would load it (a tenth of a second, an extension of 35 MB).
    found = duckdb.connect(config={"TimeZone": "UTC"})
    found.execute(f"ATTACH {_file(own)} AS emulator")
    found.execute(database.EMULATOR_SCHEMA)
    found.execute("ATTACH ':memory:' AS bq")
    native.register(found)
    for path in dialect.FUNCTIONS:
        found.execute(dialect.MACRO.sub(r"CREATE MACRO bq.main.\1", path.read_text()))
    projects_here = {path.name.removesuffix(SUFFIX) for path in settings.data_dir.glob(f"*{SUFFIX}")}
    for project in projects_here | {settings.default_project_id}:
        attach(found, project)
    found.execute(f"CREATE SCHEMA IF NOT EXISTS {database.quote(settings.default_project_id, settings.default_dataset_id)}")
    return found


def connection() -> Watched:
    """`database.connection`."""
    with database._connection_lock:  # noqa: SLF001
        return Watched(database._connect())  # noqa: SLF001


def projects() -> list[str]:
    """`database.projects`: their names, in order."""
    return [name for (name,) in database.fetch(PROJECTS, [SUFFIX])]


def attach(cursor: Any, project: str) -> None:
    """`database._attach`: creates the project if it does not exist."""
    if project in database._attached:  # noqa: SLF001
        return
    path = settings.data_dir / f"{project}{SUFFIX}"
    # An existing file keeps its block size: DuckDB refuses another one.
    options = "" if path.exists() else OPTIONS
    cursor.execute(f"ATTACH IF NOT EXISTS {_file(path)} AS {database.quote(project)} {options}")
    database._attached.add(project)  # noqa: SLF001


def _file(path: Path) -> str:
    quoted = str(path).replace("'", "''")
    return f"'{quoted}'"
