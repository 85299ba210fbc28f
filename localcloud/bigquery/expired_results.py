"""Drops the results of queries after some time, as BigQuery does. DuckDB then reuses their space in the file.

Every query's rows are a table of `emulator._results`, which local-bigquery never drops. A small result takes 11 KB of the file, so a
developer's file grew by a gigabyte a month. BigQuery keeps results for 24 hours. Here a result that was read completely is dropped after
READ_SECONDS: a client asks for it again only if an answer was lost.

Upstream would have to do the same in `jobs.runner`.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import duckdb
from local_bigquery.catalog import metadata, tables
from local_bigquery.engine import database
from local_bigquery.models import Table

READ_SECONDS: Final = 3600.0
"""How long a result is kept after it was read completely."""
KEPT_SECONDS: Final = 24 * 3600.0
"""How long a result is kept after it was written."""
LOOK_SECONDS: Final = 60.0
AT_ONCE: Final = 500
"""The most results that one commit drops."""
EARLIER: Final = f"""
SELECT t.table_name, coalesce(j.creation_time, 0) / 1000
FROM duckdb_tables() AS t LEFT JOIN emulator.jobs AS j ON t.table_name = concat(j.project_id, ':', j.job_id)
WHERE t.database_name = 'emulator' AND t.schema_name = '{tables.RESULTS}' ORDER BY 2
"""  # noqa: S608 - made of a constant

type Reference = tuple[str, str, str]

_log = logging.getLogger(__name__)


class Ages:
    """The ages of results. Times are in seconds since 1970, and never decrease from call to call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Both are ordered by time.
        self._written, self._read = OrderedDict[Reference, float](), OrderedDict[Reference, float]()

    def reset(self) -> None:
        """Clears everything, for another database in the same process."""
        with self._lock:
            self._written.clear()
            self._read.clear()

    def note_written(self, reference: Reference, now: float) -> None:
        """A result was written. It replaces an earlier one of this name."""
        with self._lock:
            self._read.pop(reference, None)
            self._written.pop(reference, None)
            self._written[reference] = now

    def note_read(self, reference: Reference, now: float) -> None:
        """Its last rows were read, perhaps once more."""
        with self._lock:
            if reference in self._written:
                self._read.pop(reference, None)
                self._read[reference] = now

    def take_old(self, now: float, most: int) -> Sequence[Reference]:
        """Up to `most` results that are to be dropped; they are no longer known here."""
        found = list[Reference]()
        with self._lock:
            for ages, seconds in ((self._written, KEPT_SECONDS), (self._read, READ_SECONDS)):
                while ages and len(found) < most and now - next(iter(ages.values())) >= seconds:
                    reference, _ = ages.popitem(last=False)
                    self._written.pop(reference, None)
                    self._read.pop(reference, None)
                    found.append(reference)
        return found


ages = Ages()


@contextmanager
def dropping() -> Iterator[None]:
    """Drops old results in the background, including those of earlier processes."""
    stopped = threading.Event()

    def work() -> None:
        while not stopped.wait(LOOK_SECONDS):
            try:
                drop_old(time.time())
            except duckdb.Error:
                _log.exception("old results of queries could not be dropped")

    note_earlier()
    worker = threading.Thread(target=work, name="expired-results", daemon=True)
    worker.start()
    try:
        yield
    finally:
        stopped.set()
        worker.join()


def note_earlier() -> None:
    """Records the results that are in the file already. They are as old as their jobs. A result without a job record is dropped next."""
    for name, written in database.fetch(EARLIER):
        project, _, job = name.rpartition(":")
        ages.note_written((project, tables.RESULTS, job), written)


def drop_old(now: float) -> int:
    """Drops old results and returns their number. If it raises duckdb.Error, they stay until the emulator starts again."""
    count = 0
    while old := ages.take_old(now, AT_ONCE):
        with database.cursor() as cursor:
            cursor.execute("BEGIN TRANSACTION")
            for reference in old:
                cursor.execute(f"DROP TABLE IF EXISTS {tables.name(*reference)}")
            cursor.execute("COMMIT")
        for reference in old:
            if metadata.load(Table, *reference) is not None:  # the API has stored something of it
                tables.forget(*reference)
        count += len(old)
    return count
