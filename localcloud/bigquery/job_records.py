"""Keeps the emulator's job records in memory, and writes those of finished jobs to their table a moment later, in one batch.

local-bigquery writes a job's record into `emulator.jobs` when it is submitted, when it starts, when it is done, and once for every
statement of a script. It reads the record back two or three times. Each write is a commit that waits for the disk: 3.5 ms of CPU and, on a
busy machine, 30 ms of waiting, for a statement that takes 14 ms. Here a finished job is read from memory, and all jobs that finish within
`WRITE_SECONDS` are one commit. Memory holds the same JSON as the table, so readers see no difference.

Only a crash shows one: a job that was running at the crash, or had finished less than `WRITE_SECONDS` before, is unknown afterwards. With
local-bigquery alone, a job that was running stays RUNNING forever, even if its changes were committed. A client must handle both.

Records are dropped after KEPT_SECONDS, as in BigQuery; and only the newest MOST are kept. local-bigquery keeps all of them forever, half a
KB for each statement.

Upstream would have to keep running jobs in `runner._running`, write the others in batches, and drop old ones.
"""

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
from local_bigquery.engine import database
from local_bigquery.jobs import store
from local_bigquery.models import Job

from localcloud.bigquery.version import require_known_version

SAVE = "INSERT OR REPLACE INTO emulator.jobs VALUES (?, ?, ?, ?, ?, ?)"
WRITE_SECONDS = 1.0
KEPT_SECONDS = 180 * 24 * 3600.0
"""Counted from the creation of a job: BigQuery lists the jobs of six months."""
MOST = 200_000
"""Records in the file; some 100 MB."""
DROP_EVERY_SECONDS = 3600.0
DROP = """
DELETE FROM emulator.jobs
WHERE creation_time < greatest(?, coalesce((SELECT creation_time FROM emulator.jobs ORDER BY creation_time DESC LIMIT 1 OFFSET ?), 0))
RETURNING project_id, job_id
"""
REMEMBERED = 1000
"""Written jobs that are still answered from memory: a job is usually read right after its end, or never."""

type Key = tuple[str, str]
type Row = tuple[str, str, str | None, str, int, str]

_log = logging.getLogger(__name__)
_list, _delete, _load = store.list_, store.delete, store.load
_lock = threading.Lock()
_unwritten: dict[Key, Row] = {}
_written: OrderedDict[Key, str] = OrderedDict()
# The ids of all jobs in the table, so that a new id is recognized without a query; None before they are read.
_ids: set[Key] | None = None
# Held while the table is changed, which may take a while; taken before `_lock`.
_table = threading.Lock()
_some_done = threading.Event()


def install() -> None:
    """Replaces the four functions of `store`. RuntimeError if its `save` is not that of the known version."""
    require_known_version()
    if SAVE not in store.save.__code__.co_consts:
        raise RuntimeError(f"local-bigquery has changed: jobs.store.save no longer runs {SAVE!r}")
    # Their callers look them up by name at every call.
    store.save, store.load, store.list_, store.delete = save, load, list_, delete


@contextmanager
def writing() -> Iterator[None]:
    """Writes finished jobs in the background; at the end, the rest."""
    stopped = threading.Event()

    def work() -> None:
        drop_at = time.monotonic()
        while not stopped.is_set():
            _some_done.wait()
            stopped.wait(WRITE_SECONDS)
            _some_done.clear()
            try:
                write_down()
                if time.monotonic() >= drop_at:
                    drop_at = time.monotonic() + DROP_EVERY_SECONDS
                    drop_old(time.time())
            except duckdb.Error:
                # The records stay in memory and are written with the next ones.
                _log.exception("the records of jobs could not be written")

    writer = threading.Thread(target=work, name="job-records", daemon=True)
    writer.start()
    try:
        yield
    finally:
        stopped.set()
        _some_done.set()
        writer.join()
        write_down()


def write_down() -> None:
    """Writes the records of finished jobs. Raises duckdb.Error if the table cannot be changed; nothing is lost."""
    with _table:
        with _lock:
            rows = [row for row in _unwritten.values() if row[3] == "DONE"]
        _write(rows)
        with _lock:
            for row in rows:
                key = row[:2]
                if _unwritten.get(key) is row:
                    del _unwritten[key]
                    _written[key] = row[-1]
            while len(_written) > REMEMBERED:
                _written.popitem(last=False)


def drop_old(now: float, *, most: int = MOST) -> int:
    """Drops the records of old jobs, and all but the newest `most`. Returns how many it dropped. `now`: seconds since 1970. Running jobs
    are kept. If it raises duckdb.Error, the records stay until the next call.
    """
    with _table:
        keys = set[Key](database.fetch(DROP, [round((now - KEPT_SECONDS) * 1000), most - 1]))
        with _lock:
            for key in keys:
                _written.pop(key, None)
                if _ids is not None and key not in _unwritten:
                    _ids.discard(key)
    return len(keys)


def reset() -> None:
    """Clears everything, for another database in the same process."""
    global _ids  # noqa: PLW0603 - one database for the process
    with _table, _lock:
        _ids = None
        _unwritten.clear()
        _written.clear()


def save(job: Job) -> Job:
    """`store.save`: to memory; to the table later, once the job is done."""
    reference, about = job.jobReference, job.statistics
    key = (reference.projectId, reference.jobId)
    row = (*key, about.parentJobId, job.status.state, int(about.creationTime), json.dumps(job.dump()))
    with _lock:
        _unwritten[key] = row
    if row[3] == "DONE":
        _some_done.set()
    return job


def load(project: str, job_id: str) -> Job | None:
    """`store.load`."""
    key = (project, job_id)
    with _lock:
        row = _unwritten.get(key)
        text = row[-1] if row else _written.get(key)
    if text is None and not _is_in_table(key):
        return None
    return Job.model_validate_json(text) if text else _load(project, job_id)


def _is_in_table(key: Key) -> bool:
    global _ids  # noqa: PLW0603 - see above
    if _ids is None:
        with _table:
            if _ids is None:
                _ids = set(database.fetch("SELECT project_id, job_id FROM emulator.jobs"))
    return key in _ids


def list_(*args: Any, **named: Any) -> list[Job]:
    """`store.list_`: of all jobs. Running jobs are written to the table first."""
    write_down()
    with _table:
        with _lock:
            rows = list(_unwritten.values())
        _write(rows)
        found: list[Job] = _list(*args, **named)
    return found


def delete(project: str, job_id: str) -> None:
    """`store.delete`: deletes a job together with the statements of its script."""
    with _table:
        with _lock:
            for key in [key for key, row in _unwritten.items() if key[0] == project and job_id in (key[1], row[2])]:
                del _unwritten[key]
            # For written records, memory does not know which belong to the script.
            _written.clear()
        _delete(project, job_id)


def _write(rows: list[Row]) -> None:
    """Puts the rows into the table, in one statement. The caller holds `_table`."""
    if rows:
        if _ids is not None:
            _ids.update(row[:2] for row in rows)
        values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(rows))
        database.execute(SAVE.replace("(?, ?, ?, ?, ?, ?)", values), [value for row in rows for value in row])
