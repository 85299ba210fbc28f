"""Lets DuckDB use one thread for each statement, until a job is large enough to benefit from more.

Besides the calling thread, DuckDB has worker threads for parts of a statement. Waking them and waiting for them is a third of the CPU of a
small statement. And while many statements run at once, there are more threads than cores anyway. So there are no worker threads until a job
has taken a second of CPU, or loads a large file. Then there is one for each core until no large job has run for a while: the checks and the
publish after a large load are large, too.

DuckDB would have to give small pipelines to no other thread.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from local_bigquery.engine import database
from local_bigquery.jobs import runner

from localcloud.bigquery.jobs.width import Width
from localcloud.bigquery.version import require_known_version

_execute: Callable[..., None] = runner._execute  # noqa: SLF001 - runs a job, in a thread of its own
# Bound before others replace it.
_submit = runner.submit


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Replaces `runner._execute`, and sets the number of threads from now on. RuntimeError if local-bigquery is not the known version."""
    require_known_version()
    if "_execute" not in _submit.__code__.co_names:
        raise RuntimeError("local-bigquery has changed: jobs.runner.submit no longer calls _execute")

    def set_threads(number: int) -> None:
        with database.cursor() as cursor:
            cursor.execute(f"SET GLOBAL threads = {number}")

    ((most,),) = connection.execute("SELECT current_setting('threads')").fetchall()
    width = Width(most=most, set_threads=set_threads)
    set_threads(1)

    def execute(job: Any, job_type: str, session: Any, running: Any, upload: str | None) -> None:
        """`runner._execute`."""
        with width.working(Path(upload).stat().st_size if upload else 0):
            _execute(job, job_type, session, running, upload)

    runner._execute = execute  # noqa: SLF001 - looked up by name at every call
    threading.Thread(target=width.watch, name="threads", daemon=True).start()
