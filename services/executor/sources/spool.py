"""Files on disk between a source and a staging table. They have no name, so they vanish even if the process is killed.

The directory is shared by all runs of the executor, and perhaps with others. Whatever goes wrong with a file, a full disk above all, fails
its own run and no other.
"""

import contextlib
import itertools
import shutil
import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from services.executor.errors import StepError
from services.executor.sources.overlap import mapped
from services.executor.sources.row_groups import GROUP_BYTES, Packing, row_groups
from services.platform.metrics.runs import show_spool

MOST_PARTS: Final = 1_000
"""Files of one export. BigQuery loads 1,500 a day into a table, retries included."""
UNWRITABLE = "The executor could not write its spool file. Run it again in a moment."


@contextmanager
def writing() -> Iterator[None]:
    """For writing a spool file: an OSError, e.g. a full disk, becomes a StepError."""
    try:
        yield
    except OSError as error:
        raise StepError(UNWRITABLE, is_retryable=True) from error


@contextmanager
def temporary(folder: Path) -> Iterator[IO[bytes]]:
    """An unnamed file in `folder`, deleted with the context. Raises StepError if it cannot be made. What is in its buffer at the end is
    dropped: written again to a full disk, it would hide the first error.
    """
    with writing():
        folder.mkdir(parents=True, exist_ok=True)
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.close()


class SpoolRoom:
    """Bounds what each tenant's exports take of the disk: a tenant's files are never larger than what is left free beside them. So one
    tenant takes half of the room at most, and all others find as much. Called from any thread.
    """

    def __init__(self, folder: Path, *, free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free) -> None:
        """`free`: the bytes that are free where the folder is."""
        self.folder, self._free = folder, free
        self._lock, self._taken = threading.Lock(), Counter[str]()

    def show(self) -> None:
        """Shows in the metrics of this process what is free, and what is taken by all tenants."""
        show_spool(free=lambda: self._free(next(one for one in (self.folder, *self.folder.parents) if one.exists())), taken=self._all_taken)

    def _all_taken(self) -> int:
        with self._lock:
            return self._taken.total()

    def taken(self, tenant_id: str) -> int:
        """Bytes of the tenant's files."""
        with self._lock:
            return self._taken[tenant_id]

    def take(self, tenant_id: str, size: int) -> None:
        """Counts `size` bytes that a file of the tenant has grown by. Raises StepError if that is more than it may take; another try may
        find more room if the tenant has other files here.
        """
        with self._lock:
            self._taken[tenant_id] += size
            taken = self._taken[tenant_id]
        with writing():
            free = self._free(self.folder)
        if taken > free:
            raise StepError(
                f"The rows of this tenant's exports take {taken:,} bytes of the executor's disk, where {free:,} are free beside them, and "
                "a tenant may take half. Run fewer days or months at once, or run it again later; the operator can give "
                "CONVERGENCE_SPOOL_DIR more room.",
                is_retryable=True,
            )

    def give_back(self, tenant_id: str, size: int) -> None:
        """The tenant's file of `size` bytes is deleted."""
        with self._lock:
            self._taken[tenant_id] -= size
            self._taken += Counter()  # drops zeros


class Spooled:
    """Rows of an export on disk. Deleted with the context, or when it is dropped: its run may be over before its thread returns it."""

    def __init__(self, file: IO[bytes], *, size: int, rows: int, discard: Callable[[], None]) -> None:
        """`size`: of the file, in bytes. `discard` deletes it."""
        self.file, self.size, self.rows = file, size, rows
        self._discard = weakref.finalize(self, discard)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._discard()


def spool(tables: Iterable[pa.Table], schema: pa.Schema, *, room: SpoolRoom, tenant_id: str, most: int | None = None) -> Spooled:
    """Writes the tables, all with `schema`, several as a row group, into one Parquet file, in a thread while the next tables are made.
    Memory is bounded by two row groups. Once the file has `most` bytes, no more tables are taken. Blocks. Raises StepError if the file
    cannot be written, and what `tables` raises.
    """
    rows, taken = 0, 0
    with ExitStack() as stack:
        file = stack.enter_context(temporary(room.folder))
        stack.callback(lambda: room.give_back(tenant_id, taken))
        found = iter(tables)
        first = next(found, None)
        packing = Packing.of(schema, first)
        with writing():
            # Without statistics: BigQuery reads all rows. Without Arrow's schema: the file is one of texts, whatever they were packed as.
            writer = pq.ParquetWriter(file, packing.schema, compression="zstd", write_statistics=False, store_schema=False)
        stack.callback(_end, writer)
        packed = map(packing.pack, itertools.chain([] if first is None else [first], found))
        del first

        def is_full() -> bool:
            return most is not None and taken >= most

        groups = row_groups(packed, GROUP_BYTES if most is None else min(GROUP_BYTES, most), is_full)

        def write(table: pa.Table) -> int:
            nonlocal taken
            rows: int = table.num_rows
            with writing():
                writer.write_table(table.unify_dictionaries(), row_group_size=max(1, rows))
            grown = file.tell() - taken
            taken += grown
            room.take(tenant_id, grown)
            return rows

        for written in mapped(write, groups, threads=1):  # errors of `tables` are the source's
            rows += written
        with writing():
            writer.close()
            file.flush()  # a small file reaches the disk only now
        return Spooled(file, size=file.tell(), rows=rows, discard=stack.pop_all().close)
    raise AssertionError("the stack swallows no error")


def spool_parts(
    tables: Iterator[pa.Table], schema: pa.Schema, *, room: SpoolRoom, tenant_id: str, most: int
) -> Generator[tuple[Spooled, bool]]:
    """The tables in files of `most` bytes or little more, one after the other, each with whether it is the last. Without tables there is an
    empty file. After MOST_PARTS, the last one has all that is left. Raises as `spool` does.
    """
    following, number, is_last = next(tables, None), 0, False
    while not is_last:
        number += 1
        begun = itertools.chain([] if following is None else [following], tables)
        part = spool(begun, schema, room=room, tenant_id=tenant_id, most=most if number <= MOST_PARTS else None)
        following = next(tables, None)
        is_last = following is None
        yield part, is_last


def _end(writer: pq.ParquetWriter) -> None:
    """Without a second error where the file could not be written: the writer would try again when it is dropped."""
    with contextlib.suppress(OSError, ValueError):
        writer.close()
    writer.is_open = False
