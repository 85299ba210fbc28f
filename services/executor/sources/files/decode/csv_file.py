"""Rows of a CSV file, plain or gzip, all of whose values are texts. Runs in the child process."""

import csv
import io
import zlib
from collections.abc import Iterator
from typing import IO, Final

import pyarrow as pa
import pyarrow.csv as pa_csv

from services.executor.errors import StepError
from services.executor.sources.files.decode.bounds import BATCH_ROWS, Bounds
from services.executor.sources.files.decode.plain import plain

GZIP: Final = b"\x1f\x8b"
CHUNK: Final = 2**20
"""Bytes read at once."""
BLOCK: Final = 8 * 2**20
"""Bytes parsed at once; a row is never longer."""
MAX_HEADER: Final = 2**20
FREE: Final = 16 * 2**20
"""Bytes that any gzip file may become: a small file may well be repetitive."""
_BOM: Final = b"\xef\xbb\xbf"


class Inflated(io.RawIOBase):
    """A file's bytes, inflated if they are gzip, which their beginning says, and without a byte order mark."""

    def __init__(self, file: IO[bytes], name: str, inflation: int) -> None:
        self._file, self._name, self._inflation = file, name, inflation
        self._read, self._made = 0, 0
        start = file.read(2)
        file.seek(0)
        self._is_gzip = start == GZIP
        self._inflater = zlib.decompressobj(wbits=31) if self._is_gzip else None
        self._waiting = b""
        first = self._more()
        self._left = first.removeprefix(_BOM)

    def readable(self) -> bool:
        """It is."""
        return True

    def take_line(self) -> bytes:
        """The first line, without its end, which is not read again. Raises StepError if it has no end within MAX_HEADER bytes."""
        while b"\n" not in self._left and len(self._left) <= MAX_HEADER and (more := self._more()):
            self._left += more
        line, _, rest = self._left.partition(b"\n")
        if len(line) > MAX_HEADER:
            raise StepError(f"{self._name} has no header line: it is no CSV file.")
        self._left = rest
        return line.rstrip(b"\r")

    def readinto(self, into: memoryview | bytearray) -> int:  # type: ignore[override]
        """Reads some bytes; 0 at the end. Raises StepError."""
        if not self._left:
            self._left = self._more()
        count = min(len(into), len(self._left))
        into[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _more(self) -> bytes:
        if self._inflater is None:
            return self._file.read(CHUNK)
        while True:
            if not self._waiting:
                self._waiting = self._file.read(CHUNK // 4)
                self._read += len(self._waiting)
                if not self._waiting:
                    if not self._inflater.eof:
                        raise StepError(f"{self._name} ends in the middle: not all of it has arrived.")
                    return b""
            if self._inflater.eof:  # a gzip file may have several members
                self._inflater = zlib.decompressobj(wbits=31)
            try:
                made = self._inflater.decompress(self._waiting, CHUNK)
            except zlib.error as error:
                raise StepError(f"{self._name} is no gzip file, or it is damaged.") from error
            self._waiting = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail
            self._made += len(made)
            if self._made > max(FREE, self._inflation * (self._read - len(self._waiting))):
                raise StepError(f"{self._name} becomes more than {self._inflation} times as large when it is inflated. It is not read.")
            if made:
                return made


def csv_batches(file: IO[bytes], name: str, bounds: Bounds) -> Iterator[pa.RecordBatch]:
    """All rows of `file`, as texts, by the names of its first line; one batch even without rows. Raises StepError, calling it `name`."""
    source = Inflated(file, name, bounds.inflation)
    schema = pa.schema([(column, pa.string()) for column in _header(source.take_line(), name, bounds)])
    places = [str(place) for place in range(len(schema))]  # names may be there twice
    refused = list[pa_csv.InvalidRow]()

    def refuse(row: pa_csv.InvalidRow) -> str:
        refused.append(row)
        return "error"

    try:
        reader = pa_csv.open_csv(
            io.BufferedReader(source, CHUNK),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=places),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False),
        )
        rows = 0
        for block in reader:
            rows += block.num_rows
            if rows > bounds.rows:
                raise StepError(f"{name} has more than {bounds.rows:,} rows; at most so many are read of a billing period.")
            whole = pa.RecordBatch.from_arrays(block.columns, schema=schema)
            yield from (plain(whole.slice(begin, BATCH_ROWS), schema, name, bounds) for begin in range(0, whole.num_rows, BATCH_ROWS))
    except pa.ArrowException as error:
        if isinstance(error, MemoryError):
            raise
        if refused:
            raise StepError(
                f"{name} has a row of {refused[0].actual_columns} values, but its first line has {len(places)}: not all of it has arrived,"
                " or it is no CSV file."
            ) from error
        if _is_empty(error):  # its columns tell whether it is an export at all
            yield pa.RecordBatch.from_arrays([pa.array([], pa.string())] * len(schema), schema=schema)
            return
        raise StepError(f"{name} cannot be read as CSV: it is not in UTF-8, or one of its rows is too long or damaged.") from error


def _is_empty(error: pa.ArrowException) -> bool:
    return "Empty CSV file" in str(error)


def _header(line: bytes, name: str, bounds: Bounds) -> list[str]:
    try:
        found = next(csv.reader([line.decode()], strict=True), [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise StepError(f"The first line of {name} cannot be read as the names of its columns.") from error
    columns = [column.strip() for column in found]
    if not any(columns):
        raise StepError(f"The first line of {name} is empty; it has the names of the columns.")
    if len(columns) > bounds.columns:
        raise StepError(f"{name} has {len(columns):,} columns; at most {bounds.columns:,} are read.")
    return columns
