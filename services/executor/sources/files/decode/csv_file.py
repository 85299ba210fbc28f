"""Rows of a CSV file, plain or gzip, all of whose values are texts. Runs in the child process.

Arrow reads and inflates ahead in a thread of its own, so the file is one of Arrow's: a file object of Python's that raises there can leave
both waiting for each other.
"""

import csv
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv

from services.executor.errors import StepError
from services.executor.sources.files.decode.bounds import BATCH_ROWS, FREE, MAX_FRAME, Bounds
from services.executor.sources.files.decode.growth import Growth
from services.executor.sources.files.decode.plain import no_rows, plain

GZIP: Final = b"\x1f\x8b"
MIN_BLOCK: Final = 2**18
MAX_BLOCK: Final = 2**22
"""Bytes parsed at once; a row is never longer."""
MAX_HEADER: Final = 2**18
NULL: Final = "NULL"
"""Without quotes: nothing, as the FinOps Foundation's own files have it. An empty text is one."""
_OFFSET_BYTES: Final = 4
"""Of each text in Arrow's memory; in the file it has a comma."""


class CsvBytes:
    """A file's bytes, inflated if they are gzip, which their beginning says."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self._raw = pa.OSFile(path)
        self.is_gzip = self._raw.read(len(GZIP)) == GZIP
        self._raw.seek(0)
        self.stream: Any = pa.CompressedInputStream(self._raw, "gzip") if self.is_gzip else self._raw

    @property
    def read(self) -> int:
        """Bytes of the file read so far; some of them are not parsed yet."""
        place: int = self._raw.tell()
        return place


def csv_batches(path: str, name: str, bounds: Bounds) -> Iterator[pa.RecordBatch]:
    """All rows of the file at `path`, as texts, by the names of its first line: at least one batch, whose columns tell whether it is
    an export at all. Raises StepError, calling the file `name`.
    """
    refused = list[pa_csv.InvalidRow]()

    def refuse(row: pa_csv.InvalidRow) -> str:
        refused.append(row)
        return "error"

    try:
        start = CsvBytes(path).stream.read(MAX_HEADER)
        columns = _header(start, name, bounds)
        schema = pa.schema([(column, pa.string()) for column in columns])
        if len(start) < MAX_HEADER and not start.partition(b"\n")[2].strip():
            yield no_rows(schema)
            return
        places = [str(place) for place in range(len(columns))]  # names may be there twice
        source, rows, made, growth = CsvBytes(path), 0, 0, Growth.of(path, name, bounds)
        reader = pa_csv.open_csv(
            source.stream,
            read_options=pa_csv.ReadOptions(
                use_threads=False, block_size=_block(len(places), bounds), column_names=places, skip_rows=1, encoding="utf8"
            ),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(places, pa.string()),
                null_values=[NULL],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        for batch in _gathered(reader):
            rows += batch.num_rows
            made += batch.nbytes - (_OFFSET_BYTES - 1) * batch.num_rows * len(places)
            if source.is_gzip and made > max(FREE, bounds.inflation * source.read):
                raise StepError(f"{name} becomes more than {bounds.inflation} times as large when it is inflated. It is not read.")
            if rows > bounds.rows:
                raise StepError(f"{name} has more than {bounds.rows:,} rows; at most so many are read of a billing period.")
            found = plain(pa.RecordBatch.from_arrays(batch.columns, schema=schema), schema, name, bounds)
            growth.add(found)
            yield found
        if not rows:
            yield no_rows(schema)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, MemoryError):
            raise
        if refused:
            raise StepError(
                f"{name} has a row of {refused[0].actual_columns} values, but its first line has {len(columns)}: not all of it has"
                " arrived, or it is no CSV file."
            ) from error
        raise StepError(
            f"{name} cannot be read as CSV: it is damaged or not in UTF-8, not all of it has arrived, or a row is too long."
        ) from error


def _block(columns: int, bounds: Bounds) -> int:
    """Arrow reserves as much as a block for each column."""
    return max(MIN_BLOCK, min(MAX_BLOCK, bounds.memory_bytes // 16 // columns))


def _gathered(blocks: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches of about BATCH_ROWS rows."""
    gathered, rows, size = list[pa.RecordBatch](), 0, 0
    for block in blocks:
        for begin in range(0, block.num_rows, BATCH_ROWS):
            part = block.slice(begin, BATCH_ROWS)
            gathered.append(part)
            rows, size = rows + part.num_rows, size + part.nbytes
            if rows >= BATCH_ROWS or size >= MAX_FRAME:
                yield pa.concat_batches(gathered)
                gathered, rows, size = [], 0, 0
    if gathered:
        yield pa.concat_batches(gathered)


def _header(start: bytes, name: str, bounds: Bounds) -> list[str]:
    line, end, _ = start.partition(b"\n")
    if line and not end:
        raise StepError(
            f"The first line of {name}, which has the names of the columns, has no end: the file was cut off, or it is no CSV file. Run it"
            " again; if it stays so, export the month anew."
        )
    try:
        found = next(csv.reader([line.decode("utf-8-sig").rstrip("\r")], strict=True), [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise StepError(f"The first line of {name} cannot be read as the names of its columns.") from error
    columns = [column.strip() for column in found]
    if not any(columns):
        raise StepError(f"The first line of {name} is empty; it has the names of the columns.")
    if len(columns) > bounds.columns:
        raise StepError(f"{name} has {len(columns):,} columns; at most {bounds.columns:,} are read.")
    return columns
