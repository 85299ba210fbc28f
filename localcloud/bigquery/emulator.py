"""`python -m localcloud.bigquery`: the local BigQuery. REST on one port, the Storage API on another, data in a directory.

It is `local-bigquery` from PyPI, changed to start without a network, to stop without losing its journal, and to behave like BigQuery where
our pipelines depend on it.
"""

import argparse
import fcntl
import gc
import importlib.util
import os
import re
import signal
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import FrameType, ModuleType

import duckdb
import uvicorn
from duckdb_extensions import import_extension
from local_bigquery import errors
from local_bigquery.engine import database
from local_bigquery.grpc import server
from local_bigquery.settings import settings

from localcloud.bigquery import (
    catalog,
    columns,
    commits,
    created,
    expired_results,
    http,
    job_records,
    modified,
    partitions,
    resources,
    results,
    storage,
)
from localcloud.bigquery.engine import files
from localcloud.bigquery.jobs import locations, threads
from localcloud.bigquery.sql import geography, merges, query_jobs, shelf, statements, time_travel, translations, values
from localcloud.google_sts import bigquery_callers
from localcloud.settings import LocalSettings
from services.platform.environment.reading import read

# Each comes from a wheel of its own.
EXTENSIONS = ("icu", *((geography.EXTENSION,) if geography.is_here() else ()))
UNBOUND = re.compile(r'Failed to bind column reference "(?P<name>[^"]*)"')
BACKEND_ERROR = "jobBackendError"
BACKEND_ERROR_TEXT = "The job encountered an internal error during execution. Retrying the job may solve it."
PARSE_JSON = """
CREATE OR REPLACE MACRO bq.main._parse_json_exact(s) AS CASE
    WHEN regexp_extract(s, '[0-9]{19}') = '' THEN json(s)
    WHEN NOT _json_exact(s) THEN _raise('Invalid input to PARSE_JSON: number cannot be stored without loss of precision')
    ELSE json(s)
END
"""


def main() -> None:
    """Serves until SIGTERM or SIGINT, then closes the database and exits with status 0."""
    options = _arguments()
    use_home(options.home)
    say_at_once_that_there_is_no_pandas()
    settings.bigquery_host, settings.bigquery_port = options.host, options.port
    settings.grpc_port, settings.data_dir = options.storage_port, options.data_dir
    settings.default_project_id = options.project
    geography.install()
    # The first connection loads the extensions and attaches every project. This takes a second, so it is done before the first call.
    files.install()
    try:
        connection = database.connection()
    except files.EarlierVersion as error:
        sys.exit(str(error))
    commits.load(options.data_dir)
    catalog.install(connection)
    for part in (resources, columns, partitions, storage, job_records):
        part.install()
    shelf.install(options.home)
    for part in (translations, statements, merges, time_travel, values, query_jobs, results, created, modified, locations):
        part.install()
    bigquery_callers.install(options.google_sts)
    blame_duckdb_for_its_own_errors()
    look_for_long_numbers_first(connection)
    never_look_for_tables_in_python(connection)
    if options.threads:
        connection.execute(f"SET GLOBAL threads = {options.threads}")
    else:
        threads.install(connection)
    # uvicorn stops gracefully and then raises the signal again, which would end this process before the database is closed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    collect_seldom()
    storage_server, _ = server.start(options.host, options.storage_port)
    try:
        with job_records.writing(), expired_results.dropping():
            served = locations.AskedLocation(http.application(options.google_sts))
            uvicorn.run(served, host=options.host, port=options.port, log_level="warning", timeout_graceful_shutdown=5)
    finally:
        storage_server.stop(grace=1).wait()
        connection.close()
        commits.save(options.data_dir)


def never_look_for_tables_in_python(connection: duckdb.DuckDBPyConnection) -> None:
    """Prevents a deadlock. DuckDB looks for unknown table names among the calling Python code's variables, and needs the interpreter's lock
    for this. If a DuckDB thread does so while it holds the lock of a scan, and a query that holds the interpreter's lock waits for that
    scan, both wait forever, and so does every later statement.
    """
    connection.execute("SET GLOBAL python_enable_replacements = false")


def use_home(home: Path, extensions: Sequence[str] = EXTENSIONS) -> None:
    """Makes `home` the home directory and copies DuckDB's extensions there, once: 97 MB that any number of stacks can share."""
    home.mkdir(parents=True, exist_ok=True)
    os.environ["HOME"] = str(home)
    with (home / "lock").open("w") as lock:
        # Two stacks that start at the same time would otherwise write the same files.
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = {path.name.removesuffix(".duckdb_extension") for path in home.glob(f".duckdb/extensions/v{duckdb.__version__}/*/*")}
        if missing := [name for name in extensions if name not in installed]:
            with duckdb.connect() as connection:
                for name in missing:
                    import_extension(name, con=connection)


def say_at_once_that_there_is_no_pandas() -> None:
    """For every statement DuckDB checks whether pandas can be imported. If pandas is not installed, Python searches the file system each
    time, under a lock that all threads need: a third of the emulator's time.
    """
    if importlib.util.find_spec("pandas") is None:
        sys.meta_path.insert(0, _NoPandas())


class _NoPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=fullname)


def collect_seldom() -> None:
    """Runs Python's cycle collector less often, and not over objects that exist for good. Otherwise it takes a tenth of the emulator's
    time. Each translation makes about ten thousand objects, most of which reference counting frees. The others take a few hundred megabytes
    until the collector runs, after a million objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 5)


def look_for_long_numbers_first(connection: duckdb.DuckDBPyConnection) -> None:
    """PARSE_JSON refuses whole numbers of more than 64 bits. The emulator searches for them in Python, 40 microseconds a text. Here DuckDB
    first selects the texts with enough digits in a row: only these can have such a number. It extracts the digits, because that is done
    once for a whole vector, while a match is done row by row.
    """
    connection.execute(PARSE_JSON)


def blame_duckdb_for_its_own_errors() -> None:
    """Rarely, a look-up during a change of the catalog fails in DuckDB's optimizer; a retry succeeds. This reports that error as
    jobBackendError, as BigQuery reports its own failures, so that clients retry.
    """
    errors.STATUSES[BACKEND_ERROR] = errors.STATUSES["invalid"]
    errors.DUCKDB_ERRORS.insert(0, (UNBOUND, BACKEND_ERROR, BACKEND_ERROR_TEXT))


def _exit(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _arguments() -> argparse.Namespace:
    local = read(LocalSettings)
    parser = argparse.ArgumentParser(prog="python -m localcloud.bigquery", description="BigQuery on a laptop.")
    parser.add_argument("--host", default=local.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=local.bigquery_port, help="REST port (%(default)s)")
    parser.add_argument("--storage-port", type=int, default=local.bigquery_storage_port, help="Storage API port (%(default)s)")
    parser.add_argument("--data-dir", type=Path, default=local.state_dir / "bigquery", help="all its data (%(default)s)")
    parser.add_argument("--home", type=Path, default=local.cache_dir / "duckdb-home", help="DuckDB's extensions (%(default)s)")
    parser.add_argument("--project", default=local.project, help="project that always exists (%(default)s)")
    parser.add_argument("--threads", type=int, default=local.bigquery_threads, help="of one statement (one, or as many as cores)")
    parser.add_argument("--google-sts", default=local.google_sts_url, help="URL of the token service whose tokens are checked (none)")
    return parser.parse_args()
