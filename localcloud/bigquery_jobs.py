"""Keeps the records of the emulator's jobs in memory while they run, and writes each to its table once: when it is done.

local-bigquery writes a job's record into `emulator.jobs` when it is handed in, when it starts, when it is done, and once for every
statement of a script, and reads it back two or three times: some 8 ms of a small statement's 20. Here a record is written at its end, a
script's statements together with it, and the newest are read from memory. What is kept is the JSON that the table would hold, so what is
read is the same. Only a crash shows the difference: a job that was under way is unknown afterwards, instead of RUNNING for ever.

Upstream would have to keep running jobs in `runner._running`, and to write a script's children with their parent.
"""

import json
import threading
from collections import OrderedDict
from typing import Any

from local_bigquery.engine import database
from local_bigquery.jobs import store
from local_bigquery.models import Job

from localcloud.bigquery_version import require_known_version

SAVE = "INSERT OR REPLACE INTO emulator.jobs VALUES (?, ?, ?, ?, ?, ?)"
REMEMBERED = 1000
"""Done jobs that are read without their table: their readers come at once, or hardly ever."""

type Key = tuple[str, str]
type Row = tuple[str, str, str | None, str, int, str]

_list, _delete, _load = store.list_, store.delete, store.load
_lock = threading.Lock()
_unwritten: dict[Key, Row] = {}
_recent: OrderedDict[Key, str] = OrderedDict()


def install() -> None:
    """Replaces the four functions of `store`. RuntimeError if its `save` is not that of 0.3.2."""
    require_known_version()
    if SAVE not in store.save.__code__.co_consts:
        raise RuntimeError(f"local-bigquery has changed: jobs.store.save no longer runs {SAVE!r}")
    # Their callers look them up by name at every call.
    store.save, store.load, store.list_, store.delete = save, load, list_, delete


def reset() -> None:
    """Forgets all, for another database in the same process."""
    with _lock:
        _unwritten.clear()
        _recent.clear()


def save(job: Job) -> Job:
    """`store.save`: to memory, and to the table as well when the job is done. A statement of a script waits for the script's own end."""
    reference, about = job.jobReference, job.statistics
    key = (reference.projectId, reference.jobId)
    row = (*key, about.parentJobId, job.status.state, int(about.creationTime), json.dumps(job.dump()))
    with _lock:
        _unwritten[key] = row
        if job.status.state == "DONE" and about.parentJobId is None:
            _write([other for other in _unwritten.values() if other is row or (other[0], other[2]) == key])
    return job


def load(project: str, job_id: str) -> Job | None:
    """`store.load`."""
    key = (project, job_id)
    with _lock:
        row = _unwritten.get(key)
        text = row[-1] if row else _recent.get(key)
    return Job.model_validate_json(text) if text else _load(project, job_id)


def list_(*args: Any, **named: Any) -> list[Job]:
    """`store.list_`: with the jobs under way, which are written down for it."""
    with _lock:
        running = {key: row for key, row in _unwritten.items() if row[3] != "DONE"}
        _write(list(_unwritten.values()))
        _unwritten.update(running)
    found: list[Job] = _list(*args, **named)
    return found


def delete(project: str, job_id: str) -> None:
    """`store.delete`: with the statements of a script."""
    with _lock:
        for key in [key for key, row in _unwritten.items() if key[0] == project and job_id in (key[1], row[2])]:
            del _unwritten[key]
        # A statement's record does not tell here whose it was.
        _recent.clear()
        _delete(project, job_id)


def _write(rows: list[Row]) -> None:
    """Writes down what is held back, in one statement. The caller has the lock."""
    if not rows:
        return
    values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(rows))
    database.execute(SAVE.replace("(?, ?, ?, ?, ?, ?)", values), [value for row in rows for value in row])
    for row in rows:
        key = row[:2]
        _unwritten.pop(key, None)
        _recent[key] = row[-1]
        _recent.move_to_end(key)
    while len(_recent) > REMEMBERED:
        _recent.popitem(last=False)
